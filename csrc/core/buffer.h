// Growable zero-filled memory for rows: 64-byte aligned, on huge pages once it is large. Or a view
// of memory that somebody else holds, a mapped file.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace nearfield {

/// Bytes that grow without a copy where the system can move pages (Linux). Not thread-safe.
/// Addresses change when it grows.
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t bytes) { resize(bytes); }
    ~Buffer();
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    /// A view, which holds on to `owner` and must not be written to; growing it makes a copy.
    static Buffer view(const std::byte* data, std::size_t bytes, std::shared_ptr<const void> owner);
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    /// New bytes read as zero. Throws std::bad_alloc and changes nothing when memory is short.
    void resize(std::size_t bytes);
    void reserve(std::size_t bytes);
    /// Gives whole pages beyond the size back to the system, where it takes them.
    void trim();
    /// Has the system find memory for what is reserved, up to `bytes`, now and not when it is
    /// written: a page may take milliseconds. Others may read the buffer meanwhile.
    void touch(std::size_t bytes);

    std::byte* data() { return data_; }
    const std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

    template <class T>
    T* as() {
        return reinterpret_cast<T*>(data_);
    }
    template <class T>
    const T* as() const {
        return reinterpret_cast<const T*>(data_);
    }

    void swap(Buffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        std::swap(touched_, other.touched_);
        owner_.swap(other.owner_);
    }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;  // mapped pages from map_threshold on, malloc below; 0 in a view
    std::size_t touched_ = 0;
    std::shared_ptr<const void> owner_;  // of a view
};

}  // namespace nearfield
