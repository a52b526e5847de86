#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>

#include "core/error.h"
#include "core/thread_pool.h"
#include "storage/container.h"
#include "storage/xxh3.h"

#ifndef NEARFIELD_VERSION
#define NEARFIELD_VERSION "0"
#endif

namespace nearfield {
namespace {

using format::Entry;

// Checksums are computed by several threads on this many bytes, then the bytes are written.
constexpr std::size_t stretch = 16 * format::chunk;

class BytesSink final : public Sink {
  public:
    void expect(std::uint64_t bytes) override { out_.reserve(bytes); }
    void append(const void* data, std::size_t bytes) override {
        if (bytes > 0) out_.append(static_cast<const char*>(data), bytes);
    }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
};

class FileSink final : public Sink {
  public:
    explicit FileSink(File& file) : file_(file) {}
    void expect(std::uint64_t bytes) override { file_.allocate(bytes); }
    void append(const void* data, std::size_t bytes) override {
        file_.write(at_, data, bytes);
        if (bytes >= format::chunk) file_.start_writing(at_, bytes);
        at_ += bytes;
    }

  private:
    File& file_;
    std::uint64_t at_ = 0;
};

/// Appends and knows where it is.
struct Tape {
    Sink& sink;
    std::uint64_t at = 0;

    void append(const void* data, std::size_t bytes) {
        sink.append(data, bytes);
        at += bytes;
    }
    void append(const std::string& bytes) { append(bytes.data(), bytes.size()); }
    void pad(std::uint64_t to) { append(std::string(to - at, '\0')); }
};

void write_section(const Section& section, const Entry& entry, std::vector<std::uint64_t>& sums,
                   Tape& tape, const Run& run) {
    const Run quiet{run.threads, nullptr};
    Buffer room(section.parts.empty() ? 0 : std::min<std::uint64_t>(entry.bytes, stretch));
    for (std::uint64_t begin = 0; begin < entry.bytes; begin += stretch) {
        const std::uint64_t n = std::min<std::uint64_t>(entry.bytes - begin, stretch);
        const std::byte* const data = section.read(begin, n, room.data());
        parallel_for(quiet, format::chunks(n), 1,
                     [&](std::size_t first, std::size_t last, std::size_t) {
                         for (std::size_t i = first; i < last; ++i) {
                             const std::uint64_t at = i * format::chunk;
                             sums[entry.first_sum + begin / format::chunk + i] =
                                 xxh3(data + at, std::min<std::uint64_t>(format::chunk, n - at));
                         }
                     });
        tape.append(data, n);
        if (run.tick) run.tick(tape.at, tape.at + 1);
    }
}

/// A name beside `path` that no other process or thread picks.
std::string temporary_name(const std::string& path) {
    static std::atomic<unsigned> calls{0};
    std::random_device random;
    return text(path, ".tmp-", ::getpid(), "-", calls++, "-", random());
}

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

/// Removes the file unless it was kept.
class Temporary {
  public:
    Temporary(Vfs& vfs, std::string path) : vfs_(vfs), path_(std::move(path)) {}
    ~Temporary() {
        if (!kept_) vfs_.unlink(path_);
    }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    const std::string& path() const { return path_; }
    void keep() { kept_ = true; }

  private:
    Vfs& vfs_;
    std::string path_;
    bool kept_ = false;
};

}  // namespace

void write_container(const StateWriter& state, const std::string& kind, Sink& sink,
                     const Run& run) {
    const std::string fields = format::encode_fields(state.fields());
    std::vector<Section> sections{{format::fields_name, Element::u8, fields.data(), fields.size()}};
    sections.insert(sections.end(), state.sections().begin(), state.sections().end());
    format::Layout layout = format::plan(sections);

    format::Header header;
    header.file_bytes = layout.file_bytes;
    header.table_offset = layout.table_offset;
    header.sections = static_cast<std::uint32_t>(layout.entries.size());
    header.kind = kind;
    header.writer = "nearfield " NEARFIELD_VERSION;
    const std::string head = format::encode_header(header);

    sink.expect(layout.file_bytes);
    Tape tape{sink};
    tape.append(head);
    std::vector<std::uint64_t> sums(layout.entries.back().count);
    for (std::size_t i = 0; i < sections.size(); ++i) {
        tape.pad(layout.entries[i].offset);
        write_section(sections[i], layout.entries[i], sums, tape, run);
    }
    Entry& last = layout.entries.back();
    last.hash = xxh3(sums.data(), last.bytes);
    tape.pad(last.offset);
    tape.append(sums.data(), last.bytes);
    tape.pad(layout.table_offset);
    const std::string table = format::encode_table(layout.entries);
    tape.append(table);
    tape.pad(layout.file_bytes - format::trailer_bytes);
    tape.append(format::encode_trailer(head, table));
}

std::string to_bytes(const StateWriter& state, const std::string& kind, const Run& run) {
    BytesSink sink;
    write_container(state, kind, sink, run);
    return sink.take();
}

void save_file(Vfs& vfs, const std::string& path, const StateWriter& state, const std::string& kind,
               const Run& run) {
    check_replaceable(vfs, path);
    std::optional<Temporary> temporary;
    const std::string name = temporary_name(path);
    File file = File::create(vfs, name);
    temporary.emplace(vfs, name);
    FileSink sink(file);
    write_container(state, kind, sink, run);
    file.sync();
    file.close();
    {
        // What was written is what can be read, before it takes the place of what was there.
        Container written(file_source(vfs, name),
                          {ReadOptions::Map::nothing, false, ~std::uint64_t{0}, run});
        const std::vector<Fault> faults = written.faults(1);
        if (!faults.empty())
            throw StorageError(
                text("cannot write ", path, ": it reads back changed at byte ", faults[0].offset),
                EIO, "verify", path);
    }
    rename_file(vfs, name, path);
    temporary->keep();
    File folder = File::open_folder(vfs, folder_of(path));
    folder.sync();
    folder.close();
}

}  // namespace nearfield
