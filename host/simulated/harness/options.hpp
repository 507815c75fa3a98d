// Options of the command line, key=value, and the end of the program if something is wrong.

#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

inline std::map<std::string, std::string> options;

inline uint64_t number(const char* name) { return std::strtoull(options[name].c_str(), nullptr, 10); }

[[noreturn]] inline void fail(const char* why) {
    std::fprintf(stderr, "%s\n", why);
    std::_Exit(1);
}

inline void read_options(int count, char** arguments) {
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const auto equals = argument.find('=');
        if (equals != std::string::npos) options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
}
