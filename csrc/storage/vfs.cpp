#include "storage/vfs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace nearfield {
namespace {

// Linux moves at most 2^31 - 4096 bytes a call.
constexpr std::size_t most_a_call = std::size_t{1} << 30;

/// Makes a call again while it was only interrupted.
template <class Call>
auto retry(Call&& call) {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

/// Sets errno where it is not.
bool is_regular(const struct stat& found) {
    if (S_ISREG(found.st_mode)) return true;
    errno = S_ISDIR(found.st_mode) ? EISDIR : EINVAL;
    return false;
}

[[noreturn]] void refuse(const char* operation, const std::string& path) {
    throw StorageError(text("cannot ", operation, " ", path, ": not a regular file"), EINVAL,
                       operation, path);
}

}  // namespace

int Vfs::open(const std::string& path, int flags, unsigned mode) {
    return ::open(path.c_str(), flags, mode);
}
int Vfs::close(int fd) { return ::close(fd); }
ssize_t Vfs::pread(int fd, void* out, std::size_t bytes, std::uint64_t offset) {
    return ::pread(fd, out, bytes, static_cast<off_t>(offset));
}
ssize_t Vfs::pwrite(int fd, const void* data, std::size_t bytes, std::uint64_t offset) {
    return ::pwrite(fd, data, bytes, static_cast<off_t>(offset));
}

int Vfs::fallocate(int fd, std::uint64_t bytes) {
#ifdef __linux__
    // Not posix_fallocate: it writes zeros where the file system has no better way.
    return ::fallocate(fd, 0, 0, static_cast<off_t>(bytes));
#else
    (void)fd;
    (void)bytes;
    errno = EOPNOTSUPP;
    return -1;
#endif
}

void Vfs::start_writing(int fd, std::uint64_t offset, std::uint64_t bytes) {
#ifdef SYNC_FILE_RANGE_WRITE
    ::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                      SYNC_FILE_RANGE_WRITE);
#else
    (void)fd;
    (void)offset;
    (void)bytes;
#endif
}

int Vfs::fsync(int fd) {
#ifdef F_FULLFSYNC
    return ::fcntl(fd, F_FULLFSYNC);  // macOS: fsync leaves the drive's own cache alone
#else
    return ::fsync(fd);
#endif
}

std::int64_t Vfs::file_size(int fd) {
    struct stat found;
    if (::fstat(fd, &found) != 0 || !is_regular(found)) return -1;
    return found.st_size;
}

const std::byte* Vfs::map(int fd, std::size_t bytes) {
    void* const data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
    // Where the file system keeps files in huge pages, a walk misses the TLB less; elsewhere
    // nothing.
    ::madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<const std::byte*>(data);
}
void Vfs::unmap(const std::byte* data, std::size_t bytes) {
    ::munmap(const_cast<std::byte*>(data), bytes);
}
int Vfs::replaceable(const std::string& path) {
    struct stat found;
    if (::stat(path.c_str(), &found) != 0) return errno == ENOENT ? 0 : -1;
    return is_regular(found) ? 0 : -1;
}
int Vfs::rename(const std::string& from, const std::string& to) {
    return std::rename(from.c_str(), to.c_str());
}
int Vfs::unlink(const std::string& path) { return ::unlink(path.c_str()); }

Vfs& system_vfs() {
    static Vfs vfs;
    return vfs;
}

void storage_failure(const char* operation, const std::string& path) {
    const int code = errno;
    throw StorageError(text("cannot ", operation, " ", path, ": ", std::strerror(code)), code,
                       operation, path);
}

void check_replaceable(Vfs& vfs, const std::string& path) {
    if (retry([&] { return vfs.replaceable(path); }) == 0) return;
    if (errno == EINVAL) refuse("create", path);
    storage_failure("create", path);
}

void rename_file(Vfs& vfs, const std::string& from, const std::string& to) {
    if (vfs.rename(from, to) != 0) storage_failure("rename", from);
}

File::File(Vfs& vfs, const std::string& path, int flags)
    : vfs_(&vfs),
      path_(path),
      // The umask decides, as for any file that a program writes.
      fd_(retry([&] { return vfs.open(path, flags | O_CLOEXEC, 0666); })) {
    if (fd_ < 0) fail(flags & O_CREAT ? "create" : "open");
}

// Without O_NONBLOCK a fifo would wait here for a writer, for ever.
File File::open(Vfs& vfs, const std::string& path) { return {vfs, path, O_RDONLY | O_NONBLOCK}; }
File File::create(Vfs& vfs, const std::string& path) {
    return {vfs, path, O_RDWR | O_CREAT | O_EXCL};
}
File File::open_folder(Vfs& vfs, const std::string& path) {
    return {vfs, path, O_RDONLY | O_DIRECTORY};
}

File::File(File&& other) noexcept
    : vfs_(other.vfs_), path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

File::~File() {
    if (fd_ >= 0) vfs_->close(fd_);
}

void File::fail(const char* operation) const { storage_failure(operation, path_); }

std::uint64_t File::size() {
    const std::int64_t size = vfs_->file_size(fd_);
    if (size < 0 && errno == EINVAL) refuse("read", path_);
    if (size < 0) fail("read");
    return static_cast<std::uint64_t>(size);
}

void File::read(std::uint64_t offset, void* out, std::size_t bytes) {
    auto* to = static_cast<std::byte*>(out);
    while (bytes > 0) {
        const ssize_t got =
            retry([&] { return vfs_->pread(fd_, to, std::min(bytes, most_a_call), offset); });
        if (got < 0) fail("read");
        if (got == 0) throw CorruptIndex(text("file ends at ", offset), {}, offset);
        to += got;
        offset += static_cast<std::uint64_t>(got);
        bytes -= static_cast<std::size_t>(got);
    }
}

void File::write(std::uint64_t offset, const void* data, std::size_t bytes) {
    const auto* from = static_cast<const std::byte*>(data);
    while (bytes > 0) {
        const ssize_t put =
            retry([&] { return vfs_->pwrite(fd_, from, std::min(bytes, most_a_call), offset); });
        if (put == 0) errno = EIO;
        if (put <= 0) fail("write");
        from += put;
        offset += static_cast<std::uint64_t>(put);
        bytes -= static_cast<std::size_t>(put);
    }
}

void File::allocate(std::uint64_t bytes) {
    if (retry([&] { return vfs_->fallocate(fd_, bytes); }) == 0) return;
    if (errno != EOPNOTSUPP && errno != ENOSYS) fail("allocate");
}

void File::start_writing(std::uint64_t offset, std::uint64_t bytes) {
    vfs_->start_writing(fd_, offset, bytes);
}

void File::sync() {
    // Never tried again: after a failure the system may have dropped what was to be written.
    if (retry([&] { return vfs_->fsync(fd_); }) != 0) fail("sync");
}

void File::close() {
    // Not tried again: on Linux the descriptor is gone even where close fails.
    if (vfs_->close(std::exchange(fd_, -1)) != 0) fail("close");
}

std::shared_ptr<const std::byte> File::map(std::size_t bytes) {
    const std::byte* const data = vfs_->map(fd_, bytes);
    if (!data) fail("map");
    return {data, [vfs = vfs_, bytes](const std::byte* mapped) { vfs->unmap(mapped, bytes); }};
}

}  // namespace nearfield
