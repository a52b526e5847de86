// Runs every test, or those whose name contains the first argument; the exit code says if all held.
#include <cstdio>
#include <string_view>

#include "check.h"

int main(int argc, char** argv) {
    const std::string_view wanted = argc > 1 ? argv[1] : "";
    std::size_t ran = 0, failed = 0;
    for (const auto& [name, body] : nearfield::check::Test::all()) {
        if (std::string_view(name).find(wanted) == std::string_view::npos) continue;
        ++ran;
        std::string problem;
        try {
            body();
        } catch (const std::exception& error) {
            problem = error.what();
            ++failed;
        }
        std::printf("%s %s%s%s\n", problem.empty() ? "ok  " : "FAIL", name,
                    problem.empty() ? "" : "\n     ", problem.c_str());
        std::fflush(stdout);
    }
    std::printf("%zu ran, %zu failed\n", ran, failed);
    return ran == 0 || failed > 0 ? 1 : 0;
}
