// Index files on a disk that fails, is cut short, fills up, or loses power.
#include <cerrno>
#include <string>
#include <vector>

#include "check.h"
#include "core/error.h"
#include "memory_vfs.h"
#include "sample_indexes.h"

namespace nearfield::check {
namespace {

const std::string name = "folder/index.nf";
const Run one{1, {}};

void save(Vfs& vfs, const Index& index) {
    index.with_state(
        [&](const StateWriter& state) { save_file(vfs, name, state, index.kind(), one); });
}

std::unique_ptr<Index> load_copy(Vfs& vfs) {
    return load(file_source(vfs, name), {ReadOptions::Map::nothing, true, ~std::uint64_t{0}, one});
}

/// Calls `body` with the k-th call failing, for all k until it fails no more; once and for ever.
/// Returns how many runs that took.
template <class Body>
std::size_t fail_every_call(Body&& body) {
    std::size_t runs = 0;
    for (const int code : {EIO, ENOSPC})
        for (const bool for_ever : {false, true})
            for (std::size_t k = 1;; ++k) {
                MemoryVfs::Faults faults;
                faults.fail_at = k;
                faults.code = code;
                faults.for_ever = for_ever;
                faults.short_calls = k % 2 == 0;
                ++runs;
                if (body(faults) < k) break;
            }
    return runs;
}

const Test fault_in_save("a save that fails leaves the old file or the new one, and nothing else",
                         [] {
                             std::size_t runs = 0;
                             for (const auto& index : sample_indexes()) {
                                 const std::string now = bytes_of(*index);
                                 for (const bool replaces : {true, false})
                                     runs += fail_every_call([&](const MemoryVfs::Faults& faults) {
                                         MemoryVfs vfs;
                                         const std::string before = "what was there";
                                         if (replaces) vfs.write_file(name, before);
                                         vfs.faults = faults;
                                         bool saved = true;
                                         try {
                                             save(vfs, *index);
                                         } catch (const StorageError& error) {
                                             saved = false;
                                             check_equal(error.code, faults.code);
                                             check(!error.operation.empty() && !error.path.empty());
                                         }
                                         const bool there = vfs.names.contains(name);
                                         check(there || !(replaces || saved));
                                         const std::string found =
                                             there ? vfs.read_file(name) : before;
                                         check(found == now || (!saved && found == before));
                                         check_equal(vfs.names.size(), std::size_t{there});
                                         check_equal(vfs.open_files(), std::size_t{0});
                                         check_equal(vfs.maps(), std::size_t{0});
                                         return vfs.calls;
                                     });
                             }
                             check(runs > 500);
                         });

const Test fault_in_load("a load that fails says so and holds on to nothing", [] {
    for (const auto& index : sample_indexes()) {
        const std::string now = bytes_of(*index);
        using Map = ReadOptions::Map;
        for (const Map map : {Map::everything, Map::rows, Map::nothing})
            fail_every_call([&](const MemoryVfs::Faults& faults) {
                MemoryVfs vfs;
                vfs.write_file(name, now);
                vfs.faults = faults;
                try {
                    const auto loaded =
                        load(file_source(vfs, name), {map, true, ~std::uint64_t{0}, one});
                    check(bytes_of(*loaded) == now);
                } catch (const StorageError& error) {
                    check_equal(error.code, faults.code);
                }
                check_equal(vfs.open_files(), std::size_t{0});
                check_equal(vfs.maps(), std::size_t{0});
                return vfs.calls;
            });
    }
});

const Test interrupted("an interrupted call is made again", [] {
    const auto index = std::move(sample_indexes()[0]);
    MemoryVfs plain;
    save(plain, *index);
    for (std::size_t k = 1; k <= plain.calls; ++k) {
        MemoryVfs vfs;
        vfs.faults.fail_at = k;
        vfs.faults.code = EINTR;
        vfs.faults.short_calls = true;
        try {
            save(vfs, *index);
            check(bytes_of(*load_copy(vfs)) == bytes_of(*index));
        } catch (const StorageError& error) {
            // What cannot be made again without harm, or does not wait: close, rename, fstat.
            check(error.operation == "close" || error.operation == "rename" ||
                  error.operation == "read");
        }
    }
});

const Test crashes("after a crash there is the old file or the new one, whole", [] {
    Random random(20);
    std::size_t states = 0;
    for (const auto& index : sample_indexes()) {
        MemoryVfs vfs;
        const auto older = std::move(sample_indexes()[2]);
        const std::string before = bytes_of(*older), now = bytes_of(*index);
        for (const bool replaces : {true, false}) {
            vfs = MemoryVfs();
            if (replaces) vfs.write_file(name, before);
            MemoryVfs::Names start;
            for (const auto& [path, inode] : vfs.names)
                start[path] = std::make_shared<MemoryVfs::Inode>(*inode);
            vfs.names.clear();
            for (const auto& [path, inode] : start)
                vfs.names[path] = std::make_shared<MemoryVfs::Inode>(*inode);
            save(vfs, *index);
            for (std::size_t n = 0; n <= vfs.log.size(); ++n)
                for (const double keep : {0.0, 1.0, 0.5, 0.5, 0.8, 0.2, 0.9}) {
                    ++states;
                    const auto disk = MemoryVfs::after_crash(vfs.log, n, start, keep, random);
                    const auto found = disk.find(name);
                    const bool acknowledged = n == vfs.log.size();
                    if (found == disk.end()) {
                        check(!replaces && !acknowledged);
                        continue;
                    }
                    const std::string& bytes = found->second->bytes;
                    check(bytes == now || (replaces && !acknowledged && bytes == before));
                }
        }
    }
    check(states > 1000);
});

const Test no_sync("the crash test notices a save that does not sync", [] {
    /// A disk that says yes and does nothing.
    struct Lazy : MemoryVfs {
        int fsync(int) override { return 0; }
    };
    const auto index = std::move(sample_indexes()[3]);
    const std::string now = bytes_of(*index);
    Lazy vfs;
    save(vfs, *index);
    Random random(3);
    std::size_t torn = 0;
    for (int i = 0; i < 50; ++i) {
        const auto disk = MemoryVfs::after_crash(vfs.log, vfs.log.size(), {}, 0.5, random);
        const auto found = disk.find(name);
        torn += found != disk.end() && found->second->bytes != now;
    }
    check(torn > 0);
});

const Test limit("a limit on memory holds before anything is allocated", [] {
    const auto index = std::move(sample_indexes()[3]);
    MemoryVfs vfs;
    save(vfs, *index);
    bool refused = false;
    try {
        load(file_source(vfs, name), {ReadOptions::Map::nothing, true, 4096, one});
    } catch (const ResourceLimit& error) {
        refused = true;
        check(error.needed > error.limit);
        check_equal(error.limit, std::uint64_t{4096});
    }
    check(refused);
});

const Test newer("a file of a later version, or with unknown parts, is refused by name", [] {
    const auto index = std::move(sample_indexes()[0]);
    index->with_state([&](const StateWriter& state) {
        const auto refused = [&](const std::string& bytes) {
            try {
                load(memory_source(bytes), {});
            } catch (const IncompatibleVersion& error) {
                check(!error.found.empty() && !error.supported.empty());
                return error.found;
            }
            fail("it was taken");
        };
        std::string bytes = to_bytes(state, "octree", one);
        check_equal(refused(bytes), "octree");
        StateWriter more = state;
        const std::uint8_t value = 7;
        more.array("new.part", &value, 1);
        check_equal(refused(to_bytes(more, "flat", one)), "new.part");
    });
});

}  // namespace
}  // namespace nearfield::check
