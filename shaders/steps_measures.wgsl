// Values that change by what is measured over the whole image: `src/steps/points.rs`. A workgroup counts in its memory.

// Where measures lie: the sum of lumas in two words, or afterwards their mean; for each colour the distance of the lowest
// value from the largest there can be, and the highest value; for each colour how often each value occurs, by its first
// eight bits, or afterwards what it becomes.
const SUM: u32 = 0u;
const SUM_HIGH: u32 = 1u;
const LOWS: u32 = 2u;
const HIGHS: u32 = 5u;
const COUNTS: u32 = 8u;
const BINS: u32 = 256u;
const BIN_SHIFT: u32 = VALUE_BITS - 8u;
// Invocations that prepare the counts, each those of some bins.
const CELLS: u32 = 48u;
const CELL_BINS: u32 = 16u;

var<workgroup> measures: array<atomic<u32>, MEASURES>;
// Of each cell, the sum of its counts and the last count that is not 0.
var<workgroup> sums: array<u32, CELLS>;
var<workgroup> lasts: array<u32, CELLS>;

fn is_measured(code: u32) -> bool {
    return code == CODE_CONTRAST || code == CODE_AUTOCONTRAST || code == CODE_EQUALIZE;
}

fn clear_measures(me: u32) {
    for (var i = me; i < MEASURES; i += GROUP) {
        atomicStore(&measures[i], 0u);
    }
}

// Adds the pixels from `first` to before `end` to the measures that the step needs.
fn count(me: u32, first: u32, end: u32) {
    switch u32(args[0]) {
        case CODE_CONTRAST: {
            var sum = 0u;
            for (var i = first + me; i < end; i += GROUP) {
                let at = i * channels();
                if channels() < 3u {
                    sum += value_at(at);
                } else {
                    sum += luma_at(at);
                }
            }
            atomicAdd(&measures[SUM], sum);
        }
        case CODE_AUTOCONTRAST: {
            for (var colour = 0u; colour < colours(); colour += 1u) {
                var low = LARGEST;
                var high = 0u;
                for (var i = first + me; i < end; i += GROUP) {
                    let value = value_at(i * channels() + colour);
                    low = min(low, value);
                    high = max(high, value);
                }
                atomicMax(&measures[LOWS + colour], LARGEST - low);
                atomicMax(&measures[HIGHS + colour], high);
            }
        }
        case CODE_EQUALIZE: {
            for (var i = first + me; i < end; i += GROUP) {
                for (var colour = 0u; colour < colours(); colour += 1u) {
                    let bin = value_at(i * channels() + colour) >> BIN_SHIFT;
                    atomicAdd(&measures[COUNTS + colour * BINS + bin], 1u);
                }
            }
        }
        default: {}
    }
}

// Makes the mean of the sum, and of counts what each value becomes. The whole workgroup calls it.
fn prepare_measures(me: u32) {
    if u32(args[0]) == CODE_CONTRAST && me == 0u {
        let sum = vec2<u32>(atomicLoad(&measures[SUM]), atomicLoad(&measures[SUM_HIGH]));
        let pixels_in = height() * width();
        atomicStore(&measures[SUM], rounded(divided(sum, pixels_in), pixels_in));
    }
    let counts = u32(args[0]) == CODE_EQUALIZE && me < CELLS;
    let first = COUNTS + me * CELL_BINS;
    if counts {
        var sum = 0u;
        var last = 0u;
        for (var i = 0u; i < CELL_BINS; i += 1u) {
            let here = atomicLoad(&measures[first + i]);
            sum += here;
            last = select(last, here, here > 0u);
        }
        sums[me] = sum;
        lasts[me] = last;
    }
    workgroupBarrier();
    if counts {
        let cells = BINS / CELL_BINS;
        let cell = me % cells;
        var total = 0u;
        var before = 0u;
        var last = 0u;
        for (var i = 0u; i < cells; i += 1u) {
            let at = me - cell + i;
            before = select(before, total, i == cell);
            total += sums[at];
            last = select(last, lasts[at], lasts[at] > 0u);
        }
        let share = (total - last) / 255u;
        before += share / 2u;
        for (var i = 0u; i < CELL_BINS; i += 1u) {
            let here = atomicLoad(&measures[first + i]);
            var value = cell * CELL_BINS + i;
            if share > 0u {
                value = min(before / share, 255u);
            }
            atomicStore(&measures[first + i], value);
            before += here;
        }
    }
}

fn contrast(place: Place) -> u32 {
    let value = value_at(place.at);
    if place.channel < colours() {
        return blend(measured(SUM), value, args[1]);
    }
    return value;
}

fn autocontrast(place: Place) -> u32 {
    let value = value_at(place.at);
    if place.channel < colours() {
        let low = LARGEST - measured(LOWS + place.channel);
        let high = measured(HIGHS + place.channel);
        if low < high {
            return (value - low) * LARGEST / (high - low);
        }
    }
    return value;
}

fn equalize(place: Place) -> u32 {
    let value = value_at(place.at);
    if place.channel < colours() {
        let becomes = measured(COUNTS + place.channel * BINS + (value >> BIN_SHIFT));
        return (becomes << BIN_SHIFT) | (value & ((1u << BIN_SHIFT) - 1u));
    }
    return value;
}
