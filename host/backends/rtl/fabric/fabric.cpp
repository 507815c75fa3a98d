// The stages of a design that have native models, and the queues at their ends: one clocked block within the Verilated
// accelerator (host/backends/rtl/fabric.py). All that it gives are registers, so it is called once a cycle. Stages and
// queues that would do nothing are left alone until a register beside them changes.

#include "products.hpp"
#include "stages.hpp"

#include "svdpi.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bitswath {

// The kinds of stages; each is stepped in a loop of its own, which needs no virtual calls.
template <class... Kinds> struct List {};
using AllKinds = List<Padding, Widths, Window, Thresholds, MaxPool, DspProduct, LutProduct>;
constexpr const char* NAMES[] = {"fmpadding_axi", "dwc_axi", "swg_window", "thresholding_axi", "max_pool",
                                 "mvu_vvu_axi", "lut_mvu"};
constexpr size_t KINDS = std::size(NAMES);

class Fabric {
public:
    // `text`: "streams COUNT", then "link STREAM BYTES CAPACITY IN_RAM", "given STREAM" (the source is outside), "taken
    // STREAM" (the sink is), and "stage KIND IN OUT WEIGHTS PARAMETERS", WEIGHTS -1 where there are none.
    explicit Fabric(const std::string& text) {
        std::istringstream words(text);
        std::string word;
        size_t stream;
        read(words, word, stream);
        links_.resize(stream);
        stages_.resize(stream);
        sources_.resize(stream, -1);
        groups_.resize((stream + 63) / 64);
        while (words >> word) {
            if (word == "link") add_link(words);
            else if (word == "stage") add_stage(words);
            else if (word == "given" && words >> stream) given_.push_back(stream);
            else if (word == "taken" && words >> stream) taken_.push_back(stream);
            else throw std::runtime_error("unknown part " + word);
        }
    }

    // One clock edge. `in`: a byte for `offered` and the beat of each stream given, a byte for `wanted` of each taken.
    // `out`, for the cycle to come: `ready` of each stream given, `valid` and the beat of each taken, the probes.
    void clock(bool running, const uint8_t* in, uint8_t* out) {
        if (running) {
            read_ends(in);
            for (size_t group = 0; group < groups_.size(); ++group) clock_links(group);
        } else reset();
        for (size_t group = 0; group < groups_.size(); ++group) step_stages(group, AllKinds{});
        write_ends(out);
    }

private:
    // 64 streams: their handshakes, which are given by stages, and the stages that take them.
    struct Group : Handshakes {
        uint64_t awake = 0, given = 0, sinks = 0, of_kind[KINDS] = {};
    };
    static uint64_t bit(size_t stream) { return uint64_t{1} << (stream % 64); }
    // Calls `visit` with each stream of the group whose bit is set.
    template <class Visit> static void each(size_t group, uint64_t bits, Visit visit) {
        for (; bits; bits &= bits - 1) visit(group * 64 + __builtin_ctzll(bits));
    }

    void add_link(std::istream& words) {
        size_t stream, bytes;
        uint32_t capacity;
        bool in_ram;
        read(words, stream, bytes, capacity, in_ram);
        links_.at(stream) = std::make_unique<Link>(groups_[stream / 64], stream % 64, bytes, capacity, in_ram);
    }
    void add_stage(std::istream& words) {
        std::string name;
        size_t in, out;
        int weights;
        read(words, name, in, out, weights);
        const size_t kind = std::find(NAMES, NAMES + KINDS, name) - NAMES;
        stages_.at(in) = make(kind, *links_.at(in), *links_.at(out), words, AllKinds{});
        if (weights >= 0) stages_[in]->show_weights(groups_.at(weights / 64), weights % 64);
        sources_.at(out) = static_cast<int>(in);
        groups_[in / 64].sinks |= bit(in);
        groups_[in / 64].of_kind[kind] |= bit(in);
        groups_[out / 64].given |= bit(out);
    }
    template <class... Kinds>
    static std::unique_ptr<Stage> make(size_t kind, Link& in, Link& out, std::istream& words, List<Kinds...>) {
        std::unique_ptr<Stage> stage;
        size_t index = 0;
        ((index++ == kind ? void(stage = std::make_unique<Kinds>(in, out, words)) : void()), ...);
        if (!stage) throw std::runtime_error("unknown kind of stage");
        return stage;
    }

    void reset() {
        for (auto& link : links_)
            if (link) link->reset();
        for (auto& stage : stages_)
            if (stage) stage->reset();
        for (Group& group : groups_) group.awake = group.sinks;
    }
    void clock_links(size_t index) {
        Group& group = groups_[index];
        const uint64_t take = group.offered.word() & group.ready & group.queued;
        const uint64_t free = (~group.valid | group.wanted.word()) & group.queued, fetch = free & group.filled.word();
        const uint64_t arrived = (fetch & ~group.in_ram) | (group.fetched & free);
        const uint64_t valid = (group.valid & ~free) | arrived;
        each(index, take | fetch,
             [&](size_t stream) { links_[stream]->move(take & bit(stream), fetch & bit(stream)); });
        const uint64_t ready = ~group.full.word() & group.queued;
        group.awake |= (valid ^ group.valid) & group.sinks;
        each(index, ready ^ group.ready, [this](size_t stream) {
            if (sources_[stream] >= 0) groups_[sources_[stream] / 64].awake |= bit(sources_[stream]);
        });
        group.valid = valid;
        group.ready = ready;
        group.fetched = (group.fetched & ~free) | (fetch & group.in_ram);
    }
    template <class... Kinds> void step_stages(size_t index, List<Kinds...>) {
        const uint64_t awake = std::exchange(groups_[index].awake, 0);
        size_t kind = 0;
        (step_kind<Kinds>(index, awake & groups_[index].of_kind[kind++]), ...);
    }
    template <class Kind> void step_kind(size_t index, uint64_t awake) {
        each(index, awake, [&](size_t stream) {
            auto& stage = static_cast<Kind&>(*stages_[stream]);
            if (stage.step()) groups_[index].awake |= bit(stream);
        });
    }
    void read_ends(const uint8_t* in) {
        for (size_t stream : given_) {
            Link& link = *links_[stream];
            if (link.offer(*in++)) std::memcpy(link.next(false), in, link.bytes);
            in += link.bytes;
        }
        for (size_t stream : taken_) links_[stream]->want(*in++);
    }
    void write_ends(uint8_t* out) {
        for (size_t stream : given_) *out++ = links_[stream]->ready();
        for (size_t stream : taken_) {
            const Link& link = *links_[stream];
            *out++ = link.valid();
            std::memcpy(out, link.front(), link.bytes);
            out += link.bytes;
        }
        for (Group& group : groups_) {
            const uint64_t given = group.weights_given.word(), taken = group.weights_taken.word();
            const uint64_t probes[] = {
                (group.offered.word() & group.given) | given, (group.ready & group.given) | taken,
                (group.valid & group.sinks) | given, (group.wanted.word() & group.sinks) | taken};
            for (size_t probe = 0; probe < 4; ++probe) std::memcpy(out + probe * groups_.size() * 8, &probes[probe], 8);
            out += 8;
        }
    }

    std::vector<Group> groups_;
    std::vector<std::unique_ptr<Link>> links_;  // by stream, where it is the fabric's
    std::vector<std::unique_ptr<Stage>> stages_;  // by the stream that goes in
    std::vector<int> sources_;                  // by stream, the stage that gives it, -1 outside
    std::vector<size_t> given_, taken_;
};

}  // namespace bitswath

extern "C" void* bitswath_fabric(const char* text) {
    try {
        return new bitswath::Fabric(text);  // as long as the program
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%%Error: the fabric: %s\n", error.what());
        std::exit(1);
    }
}

extern "C" void bitswath_clock(void* fabric, svBit running, const svBitVecVal* in, svBitVecVal* out) {
    static_cast<bitswath::Fabric*>(fabric)->clock(running, reinterpret_cast<const uint8_t*>(in),
                                                   reinterpret_cast<uint8_t*>(out));
}
