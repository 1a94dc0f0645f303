// The same layer of a GRU as in `gru.cpp`, by the matrix unit of a processor (AMX): products of bfloat16, sums and
// state in float32.  Of weights, inputs and gradients eight bits count, as on an accelerator in bfloat16.
//
// Blocks of ROWS sequences go through one by one and are shared among the threads.  A row of a tile is a sequence; 32
// numbers of it meet 32 of 16 columns of weights, which are laid out for this once a call.  What is kept from forward
// to backward is the input and the output; gates are computed once more.  The gradient of the weights is a product over
// sequences and steps: pairs of steps lie side by side, as the unit wants them.
//
// Tensors, equations and the order of the gates are those of `gru.cpp`.

#include <torch/extension.h>

#include <ATen/Parallel.h>

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "sequences.h"

#if !defined(__AMX_BF16__) || !defined(__AVX512BF16__)
#error "this processor has no matrix unit for bfloat16"
#endif

namespace {

constexpr int64_t ROWS = 16;   // sequences in a block: rows of a tile, and numbers in a vector
constexpr int64_t DEPTH = 32;  // numbers of bfloat16 in a row of a tile
constexpr int64_t PAIRS = 8;   // of steps that go into the gradient of the weights at once

int64_t whole(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// ------------------------------------------------------------------------------------------------------------ memory

// Aligned memory, zeros at first.
template <class Number>
class Memory {
  public:
    explicit Memory(int64_t size) : size_(size) {
        numbers_.reset(static_cast<Number*>(::operator new(std::max<int64_t>(size, 1) * sizeof(Number), LINE)));
        clear();
    }
    void clear() { std::memset(numbers_.get(), 0, size_ * sizeof(Number)); }
    operator Number*() const { return numbers_.get(); }

  private:
    static constexpr std::align_val_t LINE{64};
    struct Free {
        void operator()(Number* numbers) const { ::operator delete(numbers, LINE); }
    };
    int64_t size_;
    std::unique_ptr<Number, Free> numbers_;
};

using Floats = Memory<float>;
using Halves = Memory<uint16_t>;  // bfloat16
using Words = Memory<uint32_t>;   // two of them, of two steps

// The first so many numbers of a vector, for the last of a row.
inline __mmask16 first_of(int64_t n) { return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << n) - 1); }

inline __m256i to_halves(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }

inline __m512i in_pairs(__m512 first, __m512 second) {
    return _mm512_or_si512(
        _mm512_cvtepu16_epi32(to_halves(first)), _mm512_slli_epi32(_mm512_cvtepu16_epi32(to_halves(second)), 16));
}

// The sequences of a block.
struct Block {
    Block(const Sequences& sequences, int64_t first, int64_t n_rows)
        : count(n_rows), channels(sequences.channels), step_stride(sequences.step_stride) {
        for (int64_t row = 0; row < count; ++row) rows[row] = sequences.at(first + row, 0);
    }

    // Call `use` with row, first channel, address and mask of each vector.
    template <class Use>
    void visit(int64_t step, Use use) const {
        for (int64_t row = 0; row < count; ++row) {
            float* from = rows[row] + step * step_stride;
            for (int64_t channel = 0; channel < channels; channel += 16) {
                use(row, channel, from + channel, first_of(channels - channel));
            }
        }
    }

    void read(int64_t step, float* floats, uint16_t* halves, int64_t width) const {
        visit(step, [&](int64_t row, int64_t channel, const float* from, __mmask16 mask) {
            const __m512 x = _mm512_maskz_loadu_ps(mask, from);
            if (floats) _mm512_store_ps(floats + row * width + channel, x);
            if (halves) _mm256_store_si256((__m256i*)(halves + row * width + channel), to_halves(x));
        });
    }

    void write(int64_t step, const float* floats, int64_t width, bool add) const {
        visit(step, [&](int64_t row, int64_t channel, float* to, __mmask16 mask) {
            __m512 x = _mm512_load_ps(floats + row * width + channel);
            if (add) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, to));
            _mm512_mask_storeu_ps(to, mask, x);
        });
    }

    int64_t count, channels, step_stride;
    float* rows[ROWS];
};

// ---------------------------------------------------------------------------------------------------------- functions

// e to the power of x, to about 6e-5 of it.
inline __m512 exponential(__m512 x) {
    const __m512 power = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    const __m512 n = _mm512_roundscale_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(power, n);  // from -1/2 to 1/2
    __m512 sum = _mm512_set1_ps(0.00961813f);
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.05550411f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.24022651f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(0.69314718f));
    sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, n);
}

// To about 6e-5.
inline __m512 sigmoid(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_rcp14_ps(_mm512_add_ps(one, exponential(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

inline __m512 hyperbolic_tangent(__m512 x) {
    return _mm512_fmsub_ps(_mm512_set1_ps(2.0f), sigmoid(_mm512_add_ps(x, x)), _mm512_set1_ps(1.0f));
}

// 16 rows of 16 words, `stride` words from row to row, the other way round.
inline void transpose(const uint32_t* from, int64_t stride, uint32_t* to) {
    const __m512i places = _mm512_mullo_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(int(stride)));
    for (int64_t column = 0; column < 16; ++column) {
        _mm512_store_si512(to + column * 16, _mm512_i32gather_epi32(places, from + column, 4));
    }
}

// -------------------------------------------------------------------------------------------------------------- tiles

struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes_in_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

constexpr TileShapes SHAPES{};  // in memory for good: GCC 12 thinks that only its first bytes are read

// The unit is a thread's while one of these lives.
struct Unit {
    Unit() { _tile_loadconfig(&SHAPES); }
    ~Unit() { _tile_release(); }
};

// Have all in memory that was stored: GCC 12 does not know that loading a tile reads it.
inline void settle() { asm volatile("" ::: "memory"); }

// Ask the system, once, for the right to use the unit.
void ask_for_unit() {
    constexpr long REQUEST = 0x1023, TILES = 18;
    static const bool granted = syscall(SYS_arch_prctl, REQUEST, TILES) == 0;
    TORCH_CHECK(granted, "the system does not lend the matrix unit; set training.precision=32");
}

// A matrix (depth, column) in tiles, those of a column of tiles one after another.
struct Weights {
    // `at(row, column)` gives the numbers.
    template <class At>
    Weights(int64_t depth, int64_t columns, At at)
        : n_deep(whole(depth, DEPTH) / DEPTH), n_columns(whole(columns, 16) / 16), halves(n_deep * n_columns * 512) {
        uint16_t* to = halves;
        for (int64_t k = 0; k < n_deep * DEPTH; ++k) {
            for (int64_t j = 0; j < n_columns * 16; ++j) {
                const float number = k < depth && j < columns ? at(k, j) : 0.0f;
                const int64_t tile = j / 16 * n_deep + k / DEPTH;
                to[tile * 512 + k % DEPTH / 2 * 32 + j % 16 * 2 + k % 2] = c10::BFloat16(number).x;
            }
        }
    }
    const uint16_t* tile(int64_t deep, int64_t column) const { return halves + (column * n_deep + deep) * 512; }

    int64_t n_deep, n_columns;
    Halves halves;
};

// ------------------------------------------------------------------------------------------------------------- layer

struct Layer {
    Layer(const at::Tensor& w_ih, const at::Tensor& w_hh, const at::Tensor& b_ih, const at::Tensor& b_hh)
        : n_in(w_ih.size(1)), n_hidden(w_hh.size(1)), in_width(whole(n_in, DEPTH)), width(whole(n_hidden, DEPTH)),
          biases(4 * width) {
        check_weights(w_ih, w_hh, b_ih, b_hh);
        const at::Tensor input_bias = b_ih.contiguous(), hidden_bias = b_hh.contiguous();
        const float *of_input = input_bias.data_ptr<float>(), *of_hidden = hidden_bias.data_ptr<float>();
        float* to = biases;
        for (int64_t i = 0; i < n_hidden; ++i) {
            to[i] = of_input[i] + of_hidden[i];
            to[width + i] = of_input[n_hidden + i] + of_hidden[n_hidden + i];
            to[2 * width + i] = of_input[2 * n_hidden + i];
            to[3 * width + i] = of_hidden[2 * n_hidden + i];
        }
        for (int64_t gate = 0; gate < 3; ++gate) {
            const auto part = [&](const at::Tensor& w) { return w.narrow(0, gate * n_hidden, n_hidden).contiguous(); };
            const at::Tensor by_input = part(w_ih), by_hidden = part(w_hh);
            const float *i = by_input.data_ptr<float>(), *h = by_hidden.data_ptr<float>();
            from_input.emplace_back(n_in, n_hidden, [&](int64_t k, int64_t j) { return i[j * n_in + k]; });
            from_hidden.emplace_back(n_hidden, n_hidden, [&](int64_t k, int64_t j) { return h[j * n_hidden + k]; });
        }
    }

    // Columns of the four sums r, z and both parts of n, from `column` on, to `out` (4, ROWS, 16).
    void gates(const uint16_t* x, const uint16_t* h, int64_t column, float* out) const {
        settle();
        const float* bias = biases + column * 16;
        _tile_loadd(0, bias, 0);  // the same row in all
        _tile_loadd(1, bias + width, 0);
        _tile_loadd(2, bias + 2 * width, 0);
        _tile_loadd(3, bias + 3 * width, 0);
        for (int64_t deep = 0; deep < in_width / DEPTH; ++deep) {
            _tile_loadd(4, x + deep * DEPTH, in_width * 2);
            _tile_loadd(5, from_input[0].tile(deep, column), 64);
            _tile_loadd(6, from_input[1].tile(deep, column), 64);
            _tile_loadd(7, from_input[2].tile(deep, column), 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_dpbf16ps(1, 4, 6);
            _tile_dpbf16ps(2, 4, 7);
        }
        for (int64_t deep = 0; deep < width / DEPTH; ++deep) {
            _tile_loadd(4, h + deep * DEPTH, width * 2);
            _tile_loadd(5, from_hidden[0].tile(deep, column), 64);
            _tile_loadd(6, from_hidden[1].tile(deep, column), 64);
            _tile_loadd(7, from_hidden[2].tile(deep, column), 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_dpbf16ps(1, 4, 6);
            _tile_dpbf16ps(3, 4, 7);
        }
        _tile_stored(0, out, 64);
        _tile_stored(1, out + 256, 64);
        _tile_stored(2, out + 512, 64);
        _tile_stored(3, out + 768, 64);
    }

    int64_t n_in, n_hidden, in_width, width;
    Floats biases;
    std::vector<Weights> from_input, from_hidden;
};

int64_t n_blocks(int64_t n_sequences) { return (n_sequences + ROWS - 1) / ROWS; }

void forward(const at::Tensor& x, const std::optional<at::Tensor>& h0, const at::Tensor& w_ih, const at::Tensor& w_hh,
             const at::Tensor& b_ih, const at::Tensor& b_hh, const at::Tensor& y, bool reverse) {
    check(x), check(y), ask_for_unit();
    const Layer layer(w_ih, w_hh, b_ih, b_hh);
    check_sizes(x, y, layer.n_in, layer.n_hidden, h0);
    const Sequences inputs(x), outputs(y);
    const std::optional<Sequences> before = initial(h0);
    const int64_t n_sequences = x.size(0) * x.size(1), n_steps = x.size(2), width = layer.width;
    at::parallel_for(0, n_blocks(n_sequences), 1, [&](int64_t begin, int64_t end) {
        const Unit unit;
        Halves input(ROWS * layer.in_width), state(ROWS * width), next(ROWS * width);
        Floats hidden(ROWS * width), gates(4 * ROWS * 16);
        float *h = hidden, *g = gates;
        for (int64_t first = begin * ROWS; first < std::min(end * ROWS, n_sequences); first += ROWS) {
            const int64_t count = std::min<int64_t>(ROWS, n_sequences - first);
            const Block from(inputs, first, count), to(outputs, first, count);
            input.clear(), hidden.clear(), state.clear(), next.clear();
            uint16_t *old_state = state, *new_state = next;
            if (before) Block(*before, first, count).read(0, hidden, old_state, width);
            for (int64_t i = 0; i < n_steps; ++i) {
                const int64_t step = reverse ? n_steps - 1 - i : i;
                from.read(step, nullptr, input, layer.in_width);
                for (int64_t column = 0; column * 16 < layer.n_hidden; ++column) {
                    layer.gates(input, old_state, column, gates);
                    for (int64_t row = 0; row < count; ++row) {
                        const int64_t place = row * width + column * 16;
                        const __m512 r = sigmoid(_mm512_load_ps(g + row * 16));
                        const __m512 z = sigmoid(_mm512_load_ps(g + 256 + row * 16));
                        const __m512 n = hyperbolic_tangent(
                            _mm512_fmadd_ps(r, _mm512_load_ps(g + 768 + row * 16), _mm512_load_ps(g + 512 + row * 16)));
                        const __m512 was = _mm512_load_ps(h + place);
                        const __m512 now = _mm512_fmadd_ps(z, _mm512_sub_ps(was, n), n);
                        _mm512_store_ps(h + place, now);
                        _mm256_store_si256((__m256i*)(new_state + place), to_halves(now));
                    }
                }
                std::swap(old_state, new_state);
                to.write(step, hidden, width, false);
            }
        }
    });
}

// The gradients of the weights that one thread has added up: (channel, gate), and (4, hidden) of the biases.
struct Sums {
    explicit Sums(const Layer& layer)
        : of_input(layer.in_width * 4 * layer.width), of_hidden(layer.width * 4 * layer.width), of_gates(4 * layer.width) {}
    Floats of_input, of_hidden, of_gates;
};

// Add to `sums` (channel, 4 * width) the products over pairs of steps of channels (pair, channel, ROWS) with gates
// (pair, ROWS, 4 * width), of the columns from `first` to `last`.
void add_outer(const uint32_t* channels, int64_t n_channels, const uint32_t* gates, int64_t row_words, int64_t n_pairs,
               int64_t first, int64_t last, float* sums) {
    settle();
    const auto sum_at = [&](int64_t channel, int64_t column) { return sums + channel * row_words + column; };
    const auto gates_at = [&](int64_t pair, int64_t column) { return gates + pair * ROWS * row_words + column; };
    const int64_t stride = row_words * 4;
    for (int64_t channel = 0; channel < n_channels; channel += 16) {
        const uint32_t* left = channels + channel * ROWS;
        int64_t column = first;
        for (; column + 32 <= last; column += 32) {
            _tile_loadd(0, sum_at(channel, column), stride);
            _tile_loadd(1, sum_at(channel, column + 16), stride);
            for (int64_t pair = 0; pair < n_pairs; ++pair) {
                _tile_loadd(4, left + pair * n_channels * ROWS, 64);
                _tile_loadd(5, gates_at(pair, column), stride);
                _tile_loadd(6, gates_at(pair, column + 16), stride);
                _tile_dpbf16ps(0, 4, 5);
                _tile_dpbf16ps(1, 4, 6);
            }
            _tile_stored(0, sum_at(channel, column), stride);
            _tile_stored(1, sum_at(channel, column + 16), stride);
        }
    }
}

// Rows of gates (ROWS, 4 * width) by weights, of the gates r, z and `third`; `sums` (ROWS, sums_width) is added to.
void add_product(const uint16_t* gates, int64_t width, int64_t third, const Weights& weights, float* sums,
                 int64_t sums_width) {
    settle();
    const int64_t n_of_gate = width / DEPTH;
    const auto load_gates = [&](int64_t deep) {
        const int64_t gate = deep / n_of_gate == 2 ? third : deep / n_of_gate;
        _tile_loadd(4, gates + gate * width + deep % n_of_gate * DEPTH, 4 * width * 2);
    };
    int64_t column = 0;
    for (; column + 2 <= weights.n_columns; column += 2) {
        _tile_loadd(0, sums + column * 16, sums_width * 4);
        _tile_loadd(1, sums + column * 16 + 16, sums_width * 4);
        for (int64_t deep = 0; deep < weights.n_deep; ++deep) {
            load_gates(deep);
            _tile_loadd(5, weights.tile(deep, column), 64);
            _tile_loadd(6, weights.tile(deep, column + 1), 64);
            _tile_dpbf16ps(0, 4, 5);
            _tile_dpbf16ps(1, 4, 6);
        }
        _tile_stored(0, sums + column * 16, sums_width * 4);
        _tile_stored(1, sums + column * 16 + 16, sums_width * 4);
    }
    for (; column < weights.n_columns; ++column) {
        _tile_loadd(0, sums + column * 16, sums_width * 4);
        for (int64_t deep = 0; deep < weights.n_deep; ++deep) {
            load_gates(deep);
            _tile_loadd(5, weights.tile(deep, column), 64);
            _tile_dpbf16ps(0, 4, 5);
        }
        _tile_stored(0, sums + column * 16, sums_width * 4);
    }
}

// Weights (gate, hidden; column) whose depth is three gates, each filled up to `width`.
Weights back(const at::Tensor& weights, int64_t n_hidden, int64_t width) {
    const at::Tensor kept = weights.contiguous();
    const float* numbers = kept.data_ptr<float>();
    const int64_t columns = kept.size(1);
    return Weights(3 * width, columns, [&](int64_t k, int64_t j) {
        const int64_t gate = k / width, i = k % width;
        return i < n_hidden ? numbers[(gate * n_hidden + i) * columns + j] : 0.0f;
    });
}

// Write the gradient of the input to dx, or add it there; return those of h0, the weights and the biases.
std::vector<at::Tensor> backward(const at::Tensor& x, const std::optional<at::Tensor>& h0, const at::Tensor& w_ih,
                                 const at::Tensor& w_hh, const at::Tensor& b_ih, const at::Tensor& b_hh,
                                 const at::Tensor& y, const at::Tensor& dy, const at::Tensor& dx, bool reverse,
                                 bool add) {
    check(x), check(y), check(dy), check(dx), ask_for_unit();
    const Layer layer(w_ih, w_hh, b_ih, b_hh);
    check_sizes(x, y, layer.n_in, layer.n_hidden, h0), check_sizes(dx, dy, layer.n_in, layer.n_hidden, h0);
    const int64_t n_in = layer.n_in, n_hidden = layer.n_hidden, in_width = layer.in_width, width = layer.width;
    const Weights to_input = back(w_ih, n_hidden, width), to_hidden = back(w_hh, n_hidden, width);
    const at::Tensor dh0 = at::empty({x.size(0), x.size(1), n_hidden}, x.options());
    const Sequences inputs(x), outputs(y), output_gradients(dy), input_gradients(dx), first_gradients(dh0.unsqueeze(2));
    const std::optional<Sequences> before = initial(h0);
    const int64_t n_sequences = x.size(0) * x.size(1), n_steps = x.size(2), row_words = 4 * width;
    std::vector<std::unique_ptr<Sums>> of_threads(at::get_num_threads());

    at::parallel_for(0, n_blocks(n_sequences), 1, [&](int64_t begin, int64_t end) {
        const Unit unit;
        auto& sums = of_threads.at(at::get_thread_num());
        if (!sums) sums = std::make_unique<Sums>(layer);
        // Of two steps that are next to each other: the loop goes backwards, the later one is first.
        Floats input[2] = {Floats(ROWS * in_width), Floats(ROWS * in_width)};
        Floats hidden[2] = {Floats(ROWS * width), Floats(ROWS * width)};
        Floats gradients[2] = {Floats(ROWS * row_words), Floats(ROWS * row_words)};  // of r, z and both parts of n
        Halves input_halves(ROWS * in_width), hidden_halves(ROWS * width), gradient_halves(ROWS * row_words);
        Floats gates(4 * ROWS * 16), input_gradient(ROWS * in_width), gradient(ROWS * width), given(ROWS * width);
        Words words(ROWS * std::max(in_width, width));
        Words input_pairs(PAIRS * in_width * ROWS), hidden_pairs(PAIRS * width * ROWS);
        Words gradient_pairs(PAIRS * ROWS * row_words);
        float *g = gates, *dh = gradient, *new_dh = given, *of_gates = sums->of_gates;
        const auto pair_up = [&](const float* first_of_two, const float* second, int64_t n, uint32_t* to) {
            for (int64_t k = 0; k < n; k += 16) {
                _mm512_store_si512(to + k, in_pairs(_mm512_load_ps(first_of_two + k), _mm512_load_ps(second + k)));
            }
        };
        const auto turn = [&](const Floats(&both)[2], int64_t channels, uint32_t* to) {
            pair_up(both[0], both[1], ROWS * channels, words);
            for (int64_t k = 0; k < channels; k += 16) transpose(words + k, channels, to + k * ROWS);
        };
        for (int64_t first = begin * ROWS; first < std::min(end * ROWS, n_sequences); first += ROWS) {
            const int64_t count = std::min<int64_t>(ROWS, n_sequences - first);
            const Block from(inputs, first, count), states(outputs, first, count), to(input_gradients, first, count);
            const Block from_output(output_gradients, first, count);
            for (int side = 0; side < 2; ++side) input[side].clear(), hidden[side].clear(), gradients[side].clear();
            input_halves.clear(), hidden_halves.clear(), gradient_halves.clear(), gradient.clear(), given.clear();
            int64_t slot = 0;
            int side = 0;
            for (int64_t i = n_steps - 1; i >= 0; --i) {
                const int64_t step = reverse ? n_steps - 1 - i : i;
                from.read(step, input[side], input_halves, in_width);
                float *h = hidden[side], *dg = gradients[side];
                if (i > 0) {
                    states.read(reverse ? step + 1 : step - 1, h, hidden_halves, width);
                } else if (before) {
                    Block(*before, first, count).read(0, h, hidden_halves, width);
                } else {
                    hidden[side].clear(), hidden_halves.clear();
                }
                from_output.read(step, new_dh, nullptr, width);
                for (int64_t column = 0; column * 16 < n_hidden; ++column) {
                    layer.gates(input_halves, hidden_halves, column, gates);
                    const __m512 one = _mm512_set1_ps(1.0f);
                    __m512 sum_r = _mm512_setzero_ps(), sum_z = sum_r, sum_n = sum_r, sum_hn = sum_r;
                    for (int64_t row = 0; row < count; ++row) {
                        const int64_t place = row * width + column * 16;
                        const __m512 r = sigmoid(_mm512_load_ps(g + row * 16));
                        const __m512 z = sigmoid(_mm512_load_ps(g + 256 + row * 16));
                        const __m512 of_h = _mm512_load_ps(g + 768 + row * 16);
                        const __m512 n =
                            hyperbolic_tangent(_mm512_fmadd_ps(r, of_h, _mm512_load_ps(g + 512 + row * 16)));
                        const __m512 d = _mm512_add_ps(_mm512_load_ps(dh + place), _mm512_load_ps(new_dh + place));
                        const __m512 not_z = _mm512_sub_ps(one, z), was = _mm512_load_ps(h + place);
                        const __m512 d_n = _mm512_mul_ps(_mm512_mul_ps(d, not_z), _mm512_fnmadd_ps(n, n, one));
                        const __m512 d_hn = _mm512_mul_ps(d_n, r);
                        const __m512 d_r = _mm512_mul_ps(_mm512_mul_ps(d_hn, of_h), _mm512_sub_ps(one, r));
                        const __m512 d_z =
                            _mm512_mul_ps(_mm512_mul_ps(d, _mm512_sub_ps(was, n)), _mm512_mul_ps(z, not_z));
                        _mm512_store_ps(dh + place, _mm512_mul_ps(d, z));
                        sum_r = _mm512_add_ps(sum_r, d_r), sum_z = _mm512_add_ps(sum_z, d_z);
                        sum_n = _mm512_add_ps(sum_n, d_n), sum_hn = _mm512_add_ps(sum_hn, d_hn);
                        const __m512 each[4] = {d_r, d_z, d_n, d_hn};
                        for (int64_t gate = 0; gate < 4; ++gate) {
                            const int64_t at = row * row_words + gate * width + column * 16;
                            _mm512_store_ps(dg + at, each[gate]);
                            _mm256_store_si256((__m256i*)((uint16_t*)gradient_halves + at), to_halves(each[gate]));
                        }
                    }
                    const __m512 each[4] = {sum_r, sum_z, sum_n, sum_hn};
                    for (int64_t gate = 0; gate < 4; ++gate) {
                        float* sum = of_gates + gate * width + column * 16;
                        _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), each[gate]));
                    }
                }
                input_gradient.clear();
                add_product(gradient_halves, width, 2, to_input, input_gradient, in_width);
                to.write(step, input_gradient, in_width, add);
                add_product(gradient_halves, width, 3, to_hidden, dh, width);
                if (side == 0 && i > 0) {
                    side = 1;
                    continue;
                }
                if (side == 0) gradients[1].clear();  // a last step without another: nothing times whatever is there
                turn(input, in_width, input_pairs + slot * in_width * ROWS);
                turn(hidden, width, hidden_pairs + slot * width * ROWS);
                pair_up(gradients[0], gradients[1], ROWS * row_words, gradient_pairs + slot * ROWS * row_words);
                side = 0;
                if (++slot == PAIRS || i == 0) {
                    add_outer(input_pairs, in_width, gradient_pairs, row_words, slot, 0, 3 * width, sums->of_input);
                    add_outer(hidden_pairs, width, gradient_pairs, row_words, slot, 0, 2 * width, sums->of_hidden);
                    add_outer(hidden_pairs, width, gradient_pairs, row_words, slot, 3 * width, 4 * width,
                              sums->of_hidden);
                    slot = 0;
                }
            }
            Block(first_gradients, first, count).write(0, gradient, width, false);
        }
    });

    const auto gradients_like = [](const at::Tensor& tensor) { return at::zeros(tensor.sizes(), tensor.options()); };
    const at::Tensor dw_ih = gradients_like(w_ih), dw_hh = gradients_like(w_hh);
    const at::Tensor db_ih = gradients_like(b_ih), db_hh = gradients_like(b_hh);
    for (const auto& sums : of_threads) {
        if (!sums) continue;
        const auto add_sums = [&](const at::Tensor& to, const float* from, int64_t third) {
            float* out = to.data_ptr<float>();
            for (int64_t row = 0; row < 3 * n_hidden; ++row) {
                const int64_t gate = row / n_hidden == 2 ? third : row / n_hidden;
                const float* column = from + gate * width + row % n_hidden;
                for (int64_t k = 0; k < to.size(1); ++k) out[row * to.size(1) + k] += column[k * row_words];
            }
        };
        add_sums(dw_ih, sums->of_input, 2);
        add_sums(dw_hh, sums->of_hidden, 3);
        add_sums(db_ih.unsqueeze(1), sums->of_gates, 2);
        add_sums(db_hh.unsqueeze(1), sums->of_gates, 3);
    }
    return {dh0, dw_ih, dw_hh, db_ih, db_hh};
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
    module.def("forward", &forward, pybind11::call_guard<pybind11::gil_scoped_release>());
    module.def("backward", &backward, pybind11::call_guard<pybind11::gil_scoped_release>());
}
