// A disk in memory whose calls can fail, be cut short, and be played back up to any point as a
// crash would have left them.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "storage/vfs.h"

namespace nearfield::check {

class MemoryVfs : public Vfs {
  public:
    struct Inode {
        std::string bytes;
    };
    using Names = std::map<std::string, std::shared_ptr<Inode>>;

    /// What reached the disk's queue, in order.
    struct Operation {
        enum class Kind { write, size, sync, link, unlink, sync_folder } kind;
        std::shared_ptr<Inode> inode;
        std::string name;
        std::uint64_t offset = 0;
        std::string data;
    };

    /// The `fail_at`-th call (from 1) fails with `code`, and if `for_ever` all after it. Calls that
    /// cannot fail so are not counted: unlink, unmap and close of what is only read.
    struct Faults {
        std::size_t fail_at = 0;
        int code = EIO;
        bool for_ever = false;
        bool short_calls = false;  // reads and writes move half of what they are asked to
    };
    Faults faults;
    std::size_t calls = 0;  // counted
    Names names;
    std::vector<Operation> log;

    std::size_t open_files() const {
        std::size_t n = 0;
        for (const auto& file : files_) n += file != nullptr;
        return n;
    }
    std::size_t maps() const { return maps_; }
    std::string read_file(const std::string& path) const { return names.at(path)->bytes; }
    void write_file(const std::string& path, std::string bytes) {
        names[path] = std::make_shared<Inode>(Inode{std::move(bytes)});
    }

    int open(const std::string& path, int flags, unsigned) override {
        if (fails()) return -1;
        const bool folder = (flags & O_DIRECTORY) != 0;
        const auto found = names.find(path);
        if (folder) return add(std::make_shared<Inode>(), true);
        if (flags & O_CREAT) {
            if (found != names.end()) return error(EEXIST);
            auto inode = std::make_shared<Inode>();
            names[path] = inode;
            log.push_back({Operation::Kind::link, inode, path, 0, {}});
            return add(inode, false);
        }
        if (found == names.end()) return error(ENOENT);
        return add(found->second, false);
    }
    int close(int fd) override {
        const bool failed = fails();
        files_[static_cast<std::size_t>(fd)].reset();  // gone, as on Linux
        return failed ? -1 : 0;
    }
    ssize_t pread(int fd, void* out, std::size_t bytes, std::uint64_t offset) override {
        if (fails()) return -1;
        const std::string& from = inode(fd).bytes;
        if (offset >= from.size()) return 0;
        bytes = cut(std::min(bytes, from.size() - static_cast<std::size_t>(offset)));
        std::memcpy(out, from.data() + offset, bytes);
        return static_cast<ssize_t>(bytes);
    }
    ssize_t pwrite(int fd, const void* data, std::size_t bytes, std::uint64_t offset) override {
        if (fails()) return -1;
        bytes = cut(bytes);
        const std::string part(static_cast<const char*>(data), bytes);
        apply_write(inode(fd).bytes, offset, part);
        log.push_back({Operation::Kind::write, shared(fd), {}, offset, part});
        return static_cast<ssize_t>(bytes);
    }
    int fallocate(int fd, std::uint64_t bytes) override {
        if (fails()) return -1;
        inode(fd).bytes.resize(std::max<std::size_t>(inode(fd).bytes.size(), bytes));
        log.push_back({Operation::Kind::size, shared(fd), {}, bytes, {}});
        return 0;
    }
    void start_writing(int, std::uint64_t, std::uint64_t) override {}
    int fsync(int fd) override {
        if (fails()) return -1;
        const auto& file = files_[static_cast<std::size_t>(fd)];
        log.push_back({file->folder ? Operation::Kind::sync_folder : Operation::Kind::sync,
                       file->inode,
                       {},
                       0,
                       {}});
        return 0;
    }
    std::int64_t file_size(int fd) override {
        if (fails()) return -1;
        return static_cast<std::int64_t>(inode(fd).bytes.size());
    }
    const std::byte* map(int fd, std::size_t) override {
        if (fails()) return nullptr;
        ++maps_;
        return reinterpret_cast<const std::byte*>(inode(fd).bytes.data());
    }
    void unmap(const std::byte*, std::size_t) override { --maps_; }
    int replaceable(const std::string&) override { return fails() ? -1 : 0; }
    int rename(const std::string& from, const std::string& to) override {
        if (fails()) return -1;
        const auto found = names.find(from);
        if (found == names.end()) return error(ENOENT);
        const auto moved = found->second;
        log.push_back({Operation::Kind::link, moved, to, 0, {}});
        log.push_back({Operation::Kind::unlink, moved, from, 0, {}});
        names[to] = moved;
        names.erase(from);
        return 0;
    }
    int unlink(const std::string& path) override {
        log.push_back({Operation::Kind::unlink, nullptr, path, 0, {}});
        return names.erase(path) == 1 ? 0 : error(ENOENT);
    }

    /// What is on the disk when the power goes after `n` operations: everything that was synced,
    /// and of the rest a random part, writes torn at 512 bytes. `loss`: 0 nothing more was written,
    /// 1 all was, between: chance.
    static Names after_crash(const std::vector<Operation>& log, std::size_t n, const Names& before,
                             double keep, Random& random) {
        using Kind = Operation::Kind;
        Names disk;
        std::map<const Inode*, std::shared_ptr<Inode>> copies;
        const auto copy = [&](const std::shared_ptr<Inode>& inode) {
            auto& found = copies[inode.get()];
            if (!found) found = std::make_shared<Inode>();
            return found;
        };
        for (const auto& [name, inode] : before) {
            copy(inode)->bytes = inode->bytes;
            disk[name] = copy(inode);
        }
        for (std::size_t i = 0; i < n; ++i) {
            const Operation& now = log[i];
            bool synced = false;
            for (std::size_t j = i; j < n && !synced; ++j) {
                const bool names_now = now.kind == Kind::link || now.kind == Kind::unlink;
                synced = names_now ? log[j].kind == Kind::sync_folder
                                   : log[j].kind == Kind::sync && log[j].inode == now.inode;
            }
            const bool kept = synced || random.uniform() < keep;
            if (now.kind == Kind::link && kept) disk[now.name] = copy(now.inode);
            if (now.kind == Kind::unlink && kept) disk.erase(now.name);
            if (now.kind == Kind::size && kept) {
                std::string& bytes = copy(now.inode)->bytes;
                bytes.resize(std::max<std::size_t>(bytes.size(), now.offset));
            }
            if (now.kind != Kind::write) continue;
            for (std::size_t at = 0; at < now.data.size(); at += 512) {
                const bool lands = synced || keep >= 1 || (keep > 0 && random.uniform() < keep);
                if (lands)
                    apply_write(copy(now.inode)->bytes, now.offset + at, now.data.substr(at, 512));
            }
        }
        return disk;
    }

  private:
    struct OpenFile {
        std::shared_ptr<Inode> inode;
        bool folder;
    };
    static void apply_write(std::string& to, std::uint64_t offset, const std::string& data) {
        if (to.size() < offset + data.size()) to.resize(offset + data.size());
        std::memcpy(to.data() + offset, data.data(), data.size());
    }
    static int error(int code) {
        errno = code;
        return -1;
    }
    bool fails() {
        ++calls;
        const bool now = faults.fail_at > 0 &&
                         (faults.for_ever ? calls >= faults.fail_at : calls == faults.fail_at);
        if (now) errno = faults.code;
        return now;
    }
    std::size_t cut(std::size_t bytes) const {
        return faults.short_calls ? (bytes + 1) / 2 : bytes;
    }
    int add(std::shared_ptr<Inode> inode, bool folder) {
        files_.push_back(std::make_unique<OpenFile>(OpenFile{std::move(inode), folder}));
        return static_cast<int>(files_.size()) - 1;
    }
    const std::shared_ptr<Inode>& shared(int fd) {
        return files_[static_cast<std::size_t>(fd)]->inode;
    }
    Inode& inode(int fd) { return *shared(fd); }

    std::vector<std::unique_ptr<OpenFile>> files_;
    std::size_t maps_ = 0;
};

}  // namespace nearfield::check
