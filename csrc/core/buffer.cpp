#include "core/buffer.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

namespace nearfield {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t line = 64;

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) {
    return (bytes + to - 1) / to * to;
}

#ifdef __linux__
constexpr std::size_t map_threshold = huge_page;

/// Address space aligned to a huge page; untouched pages cost nothing.
void* map_aligned(std::size_t bytes) {
    const std::size_t padded = bytes + huge_page;
    void* raw = mmap(nullptr, padded, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) throw std::bad_alloc();
    const auto begin = reinterpret_cast<std::uintptr_t>(raw);
    const auto aligned = round_up(begin, huge_page);
    if (aligned > begin) munmap(raw, aligned - begin);
    if (const std::size_t tail = begin + padded - (aligned + bytes))
        munmap(reinterpret_cast<void*>(aligned + bytes), tail);
    void* result = reinterpret_cast<void*>(aligned);
    madvise(result, bytes, MADV_HUGEPAGE);  // a refusal only costs speed
    return result;
}
#else
constexpr std::size_t map_threshold = std::numeric_limits<std::size_t>::max();
#endif

std::byte* heap_allocate(std::size_t bytes) {
    return static_cast<std::byte*>(::operator new(bytes, std::align_val_t{line}));
}

void release(std::byte* data, std::size_t capacity) {
    if (capacity == 0) return;  // nothing, or a view
#ifdef __linux__
    if (capacity >= map_threshold) {
        munmap(data, capacity);
        return;
    }
#endif
    ::operator delete(data, std::align_val_t{line});
}

}  // namespace

Buffer::~Buffer() { release(data_, capacity_); }

Buffer Buffer::view(const std::byte* data, std::size_t bytes, std::shared_ptr<const void> owner) {
    Buffer made;
    made.data_ = const_cast<std::byte*>(data);
    made.size_ = bytes;
    made.owner_ = std::move(owner);
    return made;
}

void Buffer::reserve(std::size_t bytes) {
    if (bytes <= capacity_) return;
    if (bytes > std::numeric_limits<std::size_t>::max() / 4) throw std::bad_alloc();
    std::size_t wanted = round_up(std::max(bytes, capacity_ + capacity_ / 2), line);
#ifdef __linux__
    if (wanted >= map_threshold) {
        wanted = round_up(wanted, huge_page);
        void* fresh = map_aligned(wanted);
        if (capacity_ >= map_threshold) {
            // Moves page tables, not bytes. MREMAP_FIXED takes over the reserved range.
            void* moved = mremap(data_, capacity_, wanted, MREMAP_MAYMOVE | MREMAP_FIXED, fresh);
            if (moved == MAP_FAILED) {
                munmap(fresh, wanted);
                throw std::bad_alloc();
            }
            madvise(moved, wanted, MADV_HUGEPAGE);
            fresh = moved;
        } else {
            if (size_) std::memcpy(fresh, data_, size_);
            release(data_, capacity_);
            touched_ = 0;
        }
        data_ = static_cast<std::byte*>(fresh);
        capacity_ = wanted;
        owner_.reset();
        return;
    }
#endif
    std::byte* fresh = heap_allocate(wanted);
    if (size_) std::memcpy(fresh, data_, size_);
    std::memset(fresh + size_, 0, wanted - size_);
    release(data_, capacity_);
    data_ = fresh;
    capacity_ = wanted;
    owner_.reset();
}

void Buffer::touch(std::size_t bytes) {
    constexpr std::size_t page = 4096;
    bytes = std::min(bytes, capacity_);
    auto* const unused = static_cast<volatile std::byte*>(data_);
    for (std::size_t at = std::max(size_, touched_); at < bytes; at = (at / page + 1) * page)
        unused[at] = std::byte{0};
    touched_ = std::max(touched_, bytes);
}

void Buffer::resize(std::size_t bytes) {
    if (bytes > capacity_) reserve(bytes);
    if (bytes < size_ && capacity_ > 0)
        std::memset(data_ + bytes, 0, size_ - bytes);  // regrown bytes read as zero
    size_ = bytes;
}

void Buffer::trim() {
#ifdef __linux__
    const std::size_t kept = std::max(huge_page, round_up(size_, huge_page));
    if (capacity_ < map_threshold || kept >= capacity_) return;
    munmap(data_ + kept, capacity_ - kept);
    capacity_ = kept;
    touched_ = std::min(touched_, kept);
#endif
}

}  // namespace nearfield
