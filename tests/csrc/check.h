// A small test harness: a Test registers itself, check and its kin end it at the first failure.
#pragma once

#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace nearfield::check {

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Test {
    using Body = void (*)();
    /// `name` is a sentence that `body` shows to be true.
    Test(const char* name, Body body) { all().emplace_back(name, body); }

    static std::vector<std::pair<const char*, Body>>& all() {
        static std::vector<std::pair<const char*, Body>> tests;
        return tests;
    }
};

[[noreturn]] inline void fail(const std::string& what,
                              std::source_location at = std::source_location::current()) {
    std::ostringstream out;
    out << at.file_name() << ':' << at.line() << ": " << what;
    throw Failure(out.str());
}

inline void check(bool held, std::source_location at = std::source_location::current()) {
    if (!held) fail("the condition does not hold", at);
}

template <class A, class B>
void check_equal(const A& got, const B& expected,
                 std::source_location at = std::source_location::current()) {
    if (got == expected) return;
    std::ostringstream out;
    out << "got " << got << ", expected " << expected;
    fail(out.str(), at);
}

template <class A>
void check_below(const A& got, const A& limit,
                 std::source_location at = std::source_location::current()) {
    if (got < limit) return;
    std::ostringstream out;
    out << "got " << got << ", expected less than " << limit;
    fail(out.str(), at);
}

/// The message of the Error that `body` throws.
template <class Error, class Body>
std::string thrown(const Body& body, std::source_location at = std::source_location::current()) {
    try {
        body();
    } catch (const Error& error) {
        return error.what();
    }
    fail("nothing was thrown", at);
}

}  // namespace nearfield::check
