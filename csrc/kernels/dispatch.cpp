// Which kernels run: the layers compiled in, what the CPU and the system allow, and the choice.
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"

namespace nearfield::kernels {

extern const Kernels scalar_kernels;

namespace {

bool always() { return true; }

constexpr Layer all_layers[] = {{"scalar", &scalar_kernels, always}};

constexpr std::size_t n_layers = sizeof(all_layers) / sizeof(all_layers[0]);

/// A table is nothing but function pointers, so stacking works on an array of words.
using Entries = std::array<std::uintptr_t, sizeof(Kernels) / sizeof(std::uintptr_t)>;
static_assert(sizeof(Entries) == sizeof(Kernels));

void lay_over(Kernels& table, const Kernels& layer) {
    Entries below, above;
    std::memcpy(&below, &table, sizeof(Entries));
    std::memcpy(&above, &layer, sizeof(Entries));
    for (std::size_t i = 0; i < below.size(); ++i)
        if (above[i] != 0) below[i] = above[i];
    std::memcpy(&table, &below, sizeof(Entries));
}

std::string supported_names() {
    std::string names;
    for (const Layer& layer : all_layers) {
        if (!layer.supported()) continue;
        names += names.empty() ? "" : ", ";
        names += layer.name;
    }
    return names;
}

struct Stack {
    Kernels table{};
    const char* top = nullptr;
};

/// The stack up to the named layer, or of everything this CPU has. `argument` is for the message.
Stack stack(const char* name, const char* argument) {
    Stack result;
    for (std::size_t i = 0; i < n_layers; ++i) {
        const Layer& layer = all_layers[i];
        if (!layer.supported()) continue;
        lay_over(result.table, *layer.kernels);
        result.top = layer.name;
        if (name != nullptr && std::strcmp(name, layer.name) == 0) return result;
    }
    if (name != nullptr)
        throw std::invalid_argument(std::string(argument) + " must be one of " + supported_names() +
                                    " on this CPU, got " + name);
    return result;
}

const Stack& active() {
    static const Stack chosen = [] {
        const char* const forced = std::getenv("NEARFIELD_ISA");
        return stack(forced != nullptr && *forced != '\0' ? forced : nullptr, "NEARFIELD_ISA");
    }();
    return chosen;
}

}  // namespace

const Kernels& kernels() { return active().table; }

Kernels kernels_up_to(const char* layer) { return stack(layer, "layer").table; }

const Layer* layers(std::size_t& count) {
    count = n_layers;
    return all_layers;
}

const char* active_layer() { return active().top; }

}  // namespace nearfield::kernels
