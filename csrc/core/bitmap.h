// A set of slots, one bit each.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace nearfield {

class Bitmap {
  public:
    Bitmap() = default;
    explicit Bitmap(std::size_t size, bool value = false) { resize(size, value); }
    /// Takes (size + 63) / 64 words; bits beyond the size are dropped.
    Bitmap(std::size_t size, std::vector<std::uint64_t> words)
        : words_(std::move(words)), size_(size) {
        if (size % 64 && !words_.empty()) words_.back() &= ~std::uint64_t{0} >> (64 - size % 64);
    }

    void resize(std::size_t size, bool value = false) {
        const std::size_t old = size_;
        words_.resize((size + 63) / 64, value ? ~std::uint64_t{0} : 0);
        size_ = size;
        if (value && old < size && old % 64) words_[old / 64] |= ~std::uint64_t{0} << (old % 64);
        if (size % 64 && !words_.empty()) words_.back() &= ~std::uint64_t{0} >> (64 - size % 64);
    }

    /// Becomes the set of i for which bytes[i], one of `size`, is not 0.
    void pack(const std::uint8_t* bytes, std::size_t size) {
        words_.assign((size + 63) / 64, 0);
        size_ = size;
        std::size_t i = 0;
        for (; i + 8 <= size; i += 8) {  // eight bytes become one by a multiplication
            std::uint64_t eight;
            std::memcpy(&eight, bytes + i, 8);
            if constexpr (std::endian::native == std::endian::little) {
                constexpr std::uint64_t low = 0x7f7f7f7f7f7f7f7f;
                const std::uint64_t ones = ((((eight & low) + low) | eight) & ~low) >> 7;
                words_[i / 64] |= ((ones * 0x0102040810204080) >> 56) << (i % 64);
            } else {
                for (std::size_t j = i; j < i + 8; ++j)
                    if (bytes[j]) set(j);
            }
        }
        for (; i < size; ++i)
            if (bytes[i]) set(i);
    }

    bool test(std::size_t i) const { return (words_[i / 64] >> (i % 64)) & 1; }
    void set(std::size_t i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
    void reset(std::size_t i) { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
    std::size_t size() const { return size_; }

    std::size_t count() const {
        std::size_t total = 0;
        for (const std::uint64_t word : words_)
            total += static_cast<std::size_t>(std::popcount(word));
        return total;
    }

    /// Whether any bit in [begin, end) is set; begin and end are multiples of 64 or the size.
    bool any(std::size_t begin, std::size_t end) const {
        for (std::size_t w = begin / 64; w < (end + 63) / 64; ++w)
            if (words_[w]) return true;
        return false;
    }

    Bitmap& operator&=(const Bitmap& other) {
        for (std::size_t w = 0; w < words_.size(); ++w) words_[w] &= other.words_[w];
        return *this;
    }

    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::size_t w = 0; w < words_.size(); ++w)
            for (std::uint64_t word = words_[w]; word; word &= word - 1)
                visit(w * 64 + static_cast<std::size_t>(std::countr_zero(word)));
    }

    const std::uint64_t* words() const { return words_.data(); }
    std::size_t bytes() const { return words_.size() * 8; }

  private:
    std::vector<std::uint64_t> words_;
    std::size_t size_ = 0;
};

}  // namespace nearfield
