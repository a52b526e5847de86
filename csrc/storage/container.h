// Writing a state to an index file and reading it back, from a disk or from memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/run.h"
#include "core/state.h"
#include "storage/format.h"
#include "storage/vfs.h"

namespace nearfield {

/// What a container is read from. Threads: read may be called by any number at once.
class Source {
  public:
    virtual ~Source() = default;
    virtual std::uint64_t size() = 0;
    virtual void read(std::uint64_t offset, void* out, std::size_t bytes) = 0;
    virtual std::shared_ptr<const std::byte> map(std::size_t bytes) = 0;
};

std::unique_ptr<Source> file_source(Vfs& vfs, const std::string& path);
/// `bytes` are borrowed.
std::unique_ptr<Source> memory_source(std::string_view bytes);

struct ReadOptions {
    enum class Map { nothing, rows, everything } map = Map::nothing;
    /// Compare every checksum; else only those of sections of up to format::chunk bytes.
    bool full = true;
    std::uint64_t max_memory = ~std::uint64_t{0};  // bytes of arrays that may be copied
    Run run;
};

/// Where a file is broken.
struct Fault {
    std::string section;
    std::uint64_t offset = 0;
    std::string what;
};

/// An index file whose structure has been checked, and whose checksums are as arrays are taken.
class Container final : public StateReader {
  public:
    /// Throws CorruptIndex, IncompatibleVersion or StorageError.
    Container(std::unique_ptr<Source> source, const ReadOptions& options);

    const format::Header& header() const { return header_; }
    const std::vector<format::Entry>& entries() const { return entries_; }
    const std::vector<Field>& fields() const { return fields_; }
    bool whole() const override {
        return options_.full || options_.map != ReadOptions::Map::everything;
    }
    /// Whether the file may be changed by this version, once loaded.
    bool read_only() const {
        return options_.map != ReadOptions::Map::nothing ||
               (header_.read_only & ~format::known_read_only) != 0;
    }
    /// Throws IncompatibleVersion when a section that is needed was not taken.
    void check_all_taken() const;
    /// Every checksum that does not match, at most `most`.
    std::vector<Fault> faults(std::size_t most);

  protected:
    const Field* find_field(std::string_view name) override;
    const Section* find(std::string_view name) const override;
    Buffer load(const Section& section, bool rows) override;
    void copy(std::string_view section, void* out) override;

  private:
    const format::Entry& entry(std::string_view name) const;
    void check_gaps();
    void take_memory(std::uint64_t bytes);
    void read_checked(const format::Entry& entry, std::byte* out, bool check);
    std::optional<Fault> check_chunk(const format::Entry& entry, std::uint64_t i,
                                     const std::byte* data, std::size_t bytes) const;

    std::unique_ptr<Source> source_;
    ReadOptions options_;
    format::Header header_;
    std::vector<format::Entry> entries_;
    std::vector<Section> sections_;  // the same, as states know them
    std::vector<Field> fields_;
    std::vector<std::uint64_t> sums_;
    mutable std::vector<bool> taken_;
    std::uint64_t memory_ = 0;
    std::shared_ptr<const std::byte> map_;
};

/// Where a container goes.
class Sink {
  public:
    virtual ~Sink() = default;
    /// Told the size before the first byte.
    virtual void expect(std::uint64_t bytes) = 0;
    virtual void append(const void* data, std::size_t bytes) = 0;
};

/// Writes a state. The same state gives the same bytes.
void write_container(const StateWriter& state, const std::string& kind, Sink& sink, const Run& run);
/// The same, as bytes in memory.
std::string to_bytes(const StateWriter& state, const std::string& kind, const Run& run);

/// Replaces `path` in one step: what was there stays whole until the new file is on the disk, and
/// no half file is ever under that name. Throws StorageError, leaving no trace.
void save_file(Vfs& vfs, const std::string& path, const StateWriter& state, const std::string& kind,
               const Run& run);

}  // namespace nearfield
