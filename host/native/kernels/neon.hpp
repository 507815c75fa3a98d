// Sums in registers of 128 bits. Included once by each set's file that has them, inside its own namespace, with
// BITSWATH_TARGET set. No include guard on purpose.

// To GCC an overflow of vaddq_s16 is as undefined as one of `+`, and so on.
BITSWATH_TARGET inline int16x8_t wrapping_add(int16x8_t a, int16x8_t b) {
    return vreinterpretq_s16_u16(vaddq_u16(vreinterpretq_u16_s16(a), vreinterpretq_u16_s16(b)));
}
BITSWATH_TARGET inline int32x4_t wrapping_add(int32x4_t a, int32x4_t b) {
    return vreinterpretq_s32_u32(vaddq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}

// Sums of eight outputs.
struct Sums {
    int32x4_t low, high;

    template <int Lane>
    BITSWATH_TARGET inline void add(int16x8_t w, int16x8_t x) {
#if defined(__aarch64__)
        low = vmlal_laneq_s16(low, vget_low_s16(w), x, Lane);
        high = vmlal_high_laneq_s16(high, w, x, Lane);
#else
        const int16x4_t half = Lane < 4 ? vget_low_s16(x) : vget_high_s16(x);
        low = vmlal_lane_s16(low, vget_low_s16(w), half, Lane % 4);
        high = vmlal_lane_s16(high, vget_high_s16(w), half, Lane % 4);
#endif
    }
    BITSWATH_TARGET inline void add(int16x8_t w, int16x8_t x) {
        low = vmlal_s16(low, vget_low_s16(w), vget_low_s16(x));
        high = vmlal_s16(high, vget_high_s16(w), vget_high_s16(x));
    }
    BITSWATH_TARGET inline void clear() { low = high = vdupq_n_s32(0); }
    BITSWATH_TARGET inline void store(int32_t* to) const {
        vst1q_s32(to, low);
        vst1q_s32(to + 4, high);
    }
};
