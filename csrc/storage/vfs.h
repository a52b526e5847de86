// The system calls that storage makes, in one place, so that tests can make them fail, cut short,
// tear and record.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace nearfield {

/// As the calls of POSIX they are named after: -1 and errno where they fail. The base class makes
/// the calls. Threads: any.
class Vfs {
  public:
    virtual ~Vfs() = default;
    virtual int open(const std::string& path, int flags, unsigned mode);
    virtual int close(int fd);
    virtual ssize_t pread(int fd, void* out, std::size_t bytes, std::uint64_t offset);
    virtual ssize_t pwrite(int fd, const void* data, std::size_t bytes, std::uint64_t offset);
    virtual int fallocate(int fd, std::uint64_t bytes);
    /// Lets the disk begin with these bytes while the next are made. Only advice.
    virtual void start_writing(int fd, std::uint64_t offset, std::uint64_t bytes);
    virtual int fsync(int fd);
    /// The size of a regular file. -1 with EISDIR or EINVAL for anything else.
    virtual std::int64_t file_size(int fd);
    /// Null and errno where it fails. Reads may fault once the file is cut by somebody else.
    virtual const std::byte* map(int fd, std::size_t bytes);
    virtual void unmap(const std::byte* data, std::size_t bytes);
    /// 0 where a file may take this name: nothing has it, or a regular file. -1 with EISDIR or
    /// EINVAL for anything else.
    virtual int replaceable(const std::string& path);
    virtual int rename(const std::string& from, const std::string& to);
    virtual int unlink(const std::string& path);
};

Vfs& system_vfs();

/// An open file: whole reads and writes, or StorageError. Interrupted and short calls go on.
class File {
  public:
    static File open(Vfs& vfs, const std::string& path);
    /// Throws where the path exists.
    static File create(Vfs& vfs, const std::string& path);
    static File open_folder(Vfs& vfs, const std::string& path);
    File(File&& other) noexcept;
    File& operator=(File&&) = delete;
    ~File();

    const std::string& path() const { return path_; }
    std::uint64_t size();
    void read(std::uint64_t offset, void* out, std::size_t bytes);
    void write(std::uint64_t offset, const void* data, std::size_t bytes);
    /// Takes the room before anything is written, where the file system can say.
    void allocate(std::uint64_t bytes);
    /// Lets the disk begin before sync() waits for it.
    void start_writing(std::uint64_t offset, std::uint64_t bytes);
    void sync();
    void close();
    /// Null where the file cannot be mapped. Lives on after close.
    std::shared_ptr<const std::byte> map(std::size_t bytes);

  private:
    File(Vfs& vfs, const std::string& path, int flags);
    [[noreturn]] void fail(const char* operation) const;

    Vfs* vfs_;
    std::string path_;
    int fd_;
};

/// Throws StorageError from errno.
[[noreturn]] void storage_failure(const char* operation, const std::string& path);
/// Throws where `path` is there and no regular file: a rename would put a file in the place of a
/// device or a pipe.
void check_replaceable(Vfs& vfs, const std::string& path);
void rename_file(Vfs& vfs, const std::string& from, const std::string& to);

}  // namespace nearfield
