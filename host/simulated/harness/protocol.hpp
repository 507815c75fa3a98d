// Requests and replies (process.py asks): structs of little-endian integers.

#pragma once

#include <cstdint>

enum Kind : uint32_t { STATUS = 0, READ = 1, WRITE = 2, INJECT = 3 };
enum FaultKind : uint32_t { NEVER_DONE = 0, READ_ERROR = 1, WRITE_ERROR = 2, HANG = 3, RESET = 4 };

struct Request {
    uint32_t kind, engine, offset, value;  // INJECT: kind of fault, after, times
};
struct Reply {
    uint32_t value, interrupts;
    uint64_t cycles;
};
