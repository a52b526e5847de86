#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/error.h"
#include "core/thread_pool.h"
#include "storage/container.h"
#include "storage/xxh3.h"

namespace nearfield {
namespace {

using format::Entry;

class FileSource final : public Source {
  public:
    FileSource(Vfs& vfs, const std::string& path) : file_(File::open(vfs, path)) {}
    std::uint64_t size() override { return file_.size(); }
    void read(std::uint64_t offset, void* out, std::size_t bytes) override {
        file_.read(offset, out, bytes);
    }
    std::shared_ptr<const std::byte> map(std::size_t bytes) override { return file_.map(bytes); }

  private:
    File file_;
};

class MemorySource final : public Source {
  public:
    explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}
    std::uint64_t size() override { return bytes_.size(); }
    void read(std::uint64_t offset, void* out, std::size_t bytes) override {
        if (bytes > bytes_.size() || offset > bytes_.size() - bytes)
            throw CorruptIndex(text("bytes end at ", bytes_.size()), {}, bytes_.size());
        if (bytes > 0) std::memcpy(out, bytes_.data() + offset, bytes);
    }
    std::shared_ptr<const std::byte> map(std::size_t) override {
        return {reinterpret_cast<const std::byte*>(bytes_.data()), [](const std::byte*) {}};
    }

  private:
    std::string_view bytes_;
};

std::string read_text(Source& source, std::uint64_t offset, std::uint64_t bytes) {
    std::string out(bytes, '\0');
    source.read(offset, out.data(), out.size());
    return out;
}

}  // namespace

std::unique_ptr<Source> file_source(Vfs& vfs, const std::string& path) {
    return std::make_unique<FileSource>(vfs, path);
}
std::unique_ptr<Source> memory_source(std::string_view bytes) {
    return std::make_unique<MemorySource>(bytes);
}

Container::Container(std::unique_ptr<Source> source, const ReadOptions& options)
    : source_(std::move(source)), options_(options) {
    const std::uint64_t size = source_->size();
    const std::size_t head = std::min<std::uint64_t>(size, 8);
    if (size < format::header_bytes + format::trailer_bytes)
        throw CorruptIndex(
            text(
                "file is no whole nearfield index, it has ", size, " bytes",
                head == 0 || read_text(*source_, 0, head)[0] == '\x89' ? "" : " of another format"),
            "header");
    // Read into our own memory once: a map could change between the check and the use.
    const std::string header = read_text(*source_, 0, format::header_bytes);
    header_ = format::decode_header(header, size);
    const std::string trailer =
        read_text(*source_, size - format::trailer_bytes, format::trailer_bytes);
    format::check_trailer(trailer, header, size);
    entries_ = format::decode_table(
        read_text(*source_, header_.table_offset, format::table_bytes(header_.sections)), trailer,
        header_);
    for (const Entry& found : entries_)
        sections_.push_back({found.name, found.element, nullptr, found.count});
    taken_.assign(entries_.size(), false);
    check_gaps();

    const Entry& sums = entries_.back();
    take_memory(sums.bytes);
    sums_.resize(sums.count);
    source_->read(sums.offset, sums_.data(), sums.bytes);
    if (xxh3(sums_.data(), sums.bytes) != sums.hash)
        throw CorruptIndex("the section checksums does not match its checksum", sums.name,
                           sums.offset);
    taken_.back() = true;

    if (!find(format::fields_name)) throw CorruptIndex("section fields is missing", "fields");
    const Entry& fields = entry(format::fields_name);
    if (fields.bytes > format::most_fields * format::field_bytes)
        throw CorruptIndex(text("section fields is too long, ", fields.bytes, " bytes"), "fields",
                           fields.offset);
    std::string bytes(fields.bytes, '\0');
    read_checked(fields, reinterpret_cast<std::byte*>(bytes.data()), true);
    fields_ = format::decode_fields(bytes);
    if (options_.map != ReadOptions::Map::nothing) map_ = source_->map(size);
}

/// Between sections there is less than one alignment, all zero: nothing hides in a file.
void Container::check_gaps() {
    std::uint64_t end = format::header_bytes;
    const auto check = [&](std::uint64_t next) {
        const std::string gap = read_text(*source_, end, next - end);
        const std::size_t stray = gap.find_first_not_of('\0');
        if (stray != std::string::npos)
            throw CorruptIndex("a byte between sections must be 0", "padding", end + stray);
    };
    for (const Entry& found : entries_) {
        check(found.offset);
        end = found.offset + found.bytes;
    }
    check(header_.table_offset);
    end = header_.table_offset + format::table_bytes(header_.sections);
    check(header_.file_bytes - format::trailer_bytes);
}

void Container::take_memory(std::uint64_t bytes) {
    memory_ += bytes;  // at most twice the file: a section may be asked for once more
    if (memory_ > options_.max_memory)
        throw ResourceLimit(
            text("max_memory must be at least ", memory_, ", got ", options_.max_memory), memory_,
            options_.max_memory);
}

const Field* Container::find_field(std::string_view name) {
    const auto found = std::find_if(fields_.begin(), fields_.end(),
                                    [&](const Field& field) { return field.name == name; });
    return found == fields_.end() ? nullptr : &*found;
}

const Section* Container::find(std::string_view name) const {
    const auto found = std::find_if(sections_.begin(), sections_.end(),
                                    [&](const Section& section) { return section.name == name; });
    if (found == sections_.end()) return nullptr;
    taken_[static_cast<std::size_t>(found - sections_.begin())] = true;
    return &*found;
}

const Entry& Container::entry(std::string_view name) const {
    return entries_[static_cast<std::size_t>(find(name) - sections_.data())];
}

std::optional<Fault> Container::check_chunk(const Entry& found, std::uint64_t i,
                                            const std::byte* data, std::size_t bytes) const {
    if (xxh3(data, bytes) == sums_[found.first_sum + i]) return std::nullopt;
    const std::uint64_t at = found.offset + i * format::chunk;
    return Fault{found.name, at,
                 text("section ", found.name, " does not match its checksum at bytes ", at, "..",
                      at + bytes - 1)};
}

void Container::read_checked(const Entry& found, std::byte* out, bool check) {
    std::mutex mutex;
    std::optional<Fault> first;  // in the file, whatever thread finds it
    parallel_for(options_.run, format::chunks(found.bytes), 4,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     for (std::uint64_t i = begin; i < end; ++i) {
                         const std::uint64_t at = i * format::chunk;
                         const auto n = static_cast<std::size_t>(
                             std::min<std::uint64_t>(format::chunk, found.bytes - at));
                         source_->read(found.offset + at, out + at, n);
                         if (!check) continue;
                         std::optional<Fault> fault = check_chunk(found, i, out + at, n);
                         if (!fault) continue;
                         const std::lock_guard lock(mutex);
                         if (!first || fault->offset < first->offset) first = std::move(fault);
                     }
                 });
    if (first) throw CorruptIndex(first->what, first->section, first->offset);
}

void Container::copy(std::string_view section, void* out) {
    const Entry& found = entry(section);
    take_memory(found.bytes);
    read_checked(found, static_cast<std::byte*>(out), true);
}

Buffer Container::load(const Section& section, bool rows) {
    const Entry& found = entry(section.name);
    const bool view = map_ && (rows || options_.map == ReadOptions::Map::everything);
    const bool check = options_.full || found.bytes <= format::chunk || (map_ && !view);
    if (!view) {
        take_memory(found.bytes);
        Buffer out(found.bytes);
        read_checked(found, out.data(), check);
        return out;
    }
    const std::byte* const data = map_.get() + found.offset;
    if (check) {
        parallel_for(options_.run, format::chunks(found.bytes), 4,
                     [&](std::size_t begin, std::size_t end, std::size_t) {
                         for (std::uint64_t i = begin; i < end; ++i) {
                             const std::uint64_t at = i * format::chunk;
                             const auto fault = check_chunk(
                                 found, i, data + at,
                                 std::min<std::uint64_t>(format::chunk, found.bytes - at));
                             if (fault)
                                 throw CorruptIndex(fault->what, fault->section, fault->offset);
                         }
                     });
    }
    return Buffer::view(data, found.bytes, map_);
}

void Container::check_all_taken() const {
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (!taken_[i] && (entries_[i].flags & Entry::required))
            throw IncompatibleVersion(
                text("file has a section ", entries_[i].name,
                     " that this version does not know; it was written by ", header_.writer),
                entries_[i].name, text(format::major_version, ".", format::minor_version),
                header_.writer);
}

std::vector<Fault> Container::faults(std::size_t most) {
    std::vector<Fault> found;
    std::mutex mutex;
    for (const Entry& section : entries_) {
        if (section.name == format::sums_name) continue;  // compared when opened
        parallel_for(options_.run, format::chunks(section.bytes), 4,
                     [&](std::size_t begin, std::size_t end, std::size_t) {
                         std::vector<std::byte> data(format::chunk);
                         for (std::uint64_t i = begin; i < end; ++i) {
                             const std::uint64_t at = i * format::chunk;
                             const auto n = static_cast<std::size_t>(
                                 std::min<std::uint64_t>(format::chunk, section.bytes - at));
                             source_->read(section.offset + at, data.data(), n);
                             if (auto fault = check_chunk(section, i, data.data(), n)) {
                                 const std::lock_guard lock(mutex);
                                 found.push_back(std::move(*fault));
                             }
                         }
                     });
    }
    std::sort(found.begin(), found.end(),
              [](const Fault& a, const Fault& b) { return a.offset < b.offset; });
    if (found.size() > most) found.resize(most);
    return found;
}

}  // namespace nearfield
