// Options of the command line, key=value.

#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

inline std::map<std::string, std::string> options;

inline uint64_t number(const char* name) {
    const auto found = options.find(name);
    return found == options.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
}

inline void read_options(int count, char** arguments) {
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const auto equals = argument.find('=');
        if (argument[0] != '+' && equals != std::string::npos)
            options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
}
