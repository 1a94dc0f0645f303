// One layer of a GRU, one way, forward and backward, on a processor: what `train.py` beside it puts in torch's place.
//
// Sequences are independent, and go through in blocks of LANES that the threads share.  Within a block each channel is
// a row of LANES numbers, one of each sequence ("panel": such rows, one after another), and weights are single numbers:
// whatever the width of the layer, the innermost loop is multiplications and additions of full vectors, whose sums stay
// in registers.  What is kept from forward to backward is the input and the output; gates are computed once more.
//
// Tensors are (outer, inner, step, channel) with any strides but that of channels, which is 1; a sequence is one pair
// of the first two.  So nothing has to be transposed for a recurrence along another axis.
//
// Equations and weights are torch's; rows of weights are of the gates r, z, n, in this order:
//     r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)        n = tanh(W_in x + b_in + r (W_hn h + b_hn))
//     z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)        the next h = (1 - z) n + z h

#include <torch/extension.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <vector>

#include "sequences.h"

namespace {

#ifdef __AVX512F__
constexpr int WIDTH = 16;   // numbers in a vector
constexpr int VECTORS = 4;  // in a row of a panel
#else
constexpr int WIDTH = 8;
constexpr int VECTORS = 2;
#endif
constexpr int ROWS = 6;   // sums of ROWS * VECTORS vectors, and what goes into them, fill the registers
constexpr int STEPS = 8;  // that go into the gradient of the weights at once
constexpr int LANES = WIDTH * VECTORS;

typedef float Vec __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t IntVec __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef float Quad __attribute__((vector_size(4 * sizeof(float)), aligned(alignof(float)), may_alias));

// ---------------------------------------------------------------------------------------------------------- functions

// e to the power of x, to about 1e-7 of it, for x from -87 to 87 and, beyond, of the nearest of these.
inline Vec exponential(Vec x) {
    const Vec limit = Vec{} + 87.0f;
    x = x > limit ? limit : x;
    x = x < -limit ? -limit : x;
    const Vec half = Vec{} + 0.5f;
    const IntVec whole = __builtin_convertvector(x * 1.44269504f + (x < 0.0f ? -half : half), IntVec);
    const Vec n = __builtin_convertvector(whole, Vec);
    const Vec rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // log 2 in two parts, the first of few digits
    Vec sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    return sum * (Vec)((whole + 127) << 23);
}

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exponential(-x)); }

inline Vec hyperbolic_tangent(Vec x) { return 2.0f / (1.0f + exponential(-2.0f * x)) - 1.0f; }

// ------------------------------------------------------------------------------------------------------------ panels

// Memory of whole vectors, zeros at first.
class Panel {
  public:
    explicit Panel(int64_t n_rows, int64_t per_row = VECTORS) : size_(n_rows * per_row) {
        vectors_.reset(static_cast<Vec*>(::operator new(size_ * sizeof(Vec), std::align_val_t(sizeof(Vec)))));
        clear();
    }
    void clear() { std::fill_n(vectors_.get(), size_, Vec{}); }
    operator Vec*() const { return vectors_.get(); }

  private:
    struct Free {
        void operator()(Vec* vectors) const { ::operator delete(vectors, std::align_val_t(sizeof(Vec))); }
    };
    int64_t size_;
    std::unique_ptr<Vec, Free> vectors_;
};

// The sequences of a block at one step.
struct Lanes {
    Lanes(const Sequences& sequences, int64_t first, int64_t count)
        : n_lanes(count), n_channels(sequences.channels), step_stride(sequences.step_stride) {
        for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = sequences.at(first + lane, 0);
    }

    static void transpose(Quad (&q)[4]) {
        const Quad a = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5);
        const Quad b = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
        const Quad c = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5);
        const Quad d = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
        q[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5), q[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
        q[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5), q[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
    }

    // Call `four` where four lanes and four channels meet, and `single` elsewhere.
    template <class Four, class Single>
    void visit(Four four, Single single) const {
        const int64_t whole_lanes = n_lanes / 4 * 4, whole_channels = n_channels / 4 * 4;
        for (int64_t lane = 0; lane < whole_lanes; lane += 4) {
            for (int64_t channel = 0; channel < whole_channels; channel += 4) four(lane, channel);
        }
        for (int64_t lane = 0; lane < n_lanes; ++lane) {
            for (int64_t channel = lane < whole_lanes ? whole_channels : 0; channel < n_channels; ++channel) {
                single(lane, channel);
            }
        }
    }

    void read(int64_t step, Vec* panel) const {
        float* rows = reinterpret_cast<float*>(panel);
        const int64_t shift = step * step_stride;
        visit(
            [&](int64_t lane, int64_t channel) {
                Quad q[4];
                for (int i = 0; i < 4; ++i) q[i] = *reinterpret_cast<const Quad*>(lanes[lane + i] + shift + channel);
                transpose(q);
                for (int i = 0; i < 4; ++i) *reinterpret_cast<Quad*>(rows + (channel + i) * LANES + lane) = q[i];
            },
            [&](int64_t lane, int64_t channel) { rows[channel * LANES + lane] = lanes[lane][shift + channel]; });
    }

    void write(int64_t step, const Vec* panel, bool add) const {
        const float* rows = reinterpret_cast<const float*>(panel);
        const int64_t shift = step * step_stride;
        visit(
            [&](int64_t lane, int64_t channel) {
                Quad q[4];
                for (int i = 0; i < 4; ++i) q[i] = *reinterpret_cast<const Quad*>(rows + (channel + i) * LANES + lane);
                transpose(q);
                for (int i = 0; i < 4; ++i) {
                    Quad& out = *reinterpret_cast<Quad*>(lanes[lane + i] + shift + channel);
                    out = add ? out + q[i] : q[i];
                }
            },
            [&](int64_t lane, int64_t channel) {
                float& out = lanes[lane][shift + channel];
                out = rows[channel * LANES + lane] + (add ? out : 0.0f);
            });
    }

    int64_t n_lanes, n_channels, step_stride;
    float* lanes[LANES];
};

// ---------------------------------------------------------------------------------------------------------- products

template <int N>
using Count = std::integral_constant<int, N>;

// Call `use` with how many, and the first of them, until all n are done.
template <int N, class Use>
inline void in_groups(int64_t n, Use use) {
    int64_t first = 0;
    for (; first + N <= n; first += N) use(Count<N>(), first);
    for (; first < n; ++first) use(Count<1>(), first);
}

// Add to the sums N rows of weights times a panel of n rows.
template <int N>
inline __attribute__((always_inline)) void add_product(
    Vec (&sums)[N][VECTORS], const float* weights, int64_t stride, const Vec* panel, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
        Vec row[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) row[v] = panel[k * VECTORS + v];
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
            const Vec weight = Vec{} + weights[i * stride + k];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v) sums[i][v] += weight * row[v];
        }
    }
}

template <int N>
inline __attribute__((always_inline)) void store(const Vec (&sums)[N][VECTORS], Vec* panel) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) panel[i * VECTORS + v] = sums[i][v];
    }
}

// Add to `sums` (n_left, n_right) the products of each row of one panel with each of another, over some steps; what
// differs between lanes is added up in the end, by `total`.
void add_outer(const Vec* left, int64_t left_step, int64_t n_left, const Vec* right, int64_t right_step,
               int64_t n_right, int64_t n_steps, Vec* sums) {
    in_groups<ROWS>(n_left, [&](auto n_rows, int64_t row) {
        in_groups<VECTORS>(n_right, [&](auto n_columns, int64_t column) {
            constexpr int R = decltype(n_rows)::value, C = decltype(n_columns)::value;
            Vec* out = sums + row * n_right + column;
            Vec sum[R][C];
#pragma GCC unroll 8
            for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
                for (int j = 0; j < C; ++j) sum[i][j] = out[i * n_right + j];
            }
            for (int64_t step = 0; step < n_steps; ++step) {
                const Vec* a = left + step * left_step + row * VECTORS;
                const Vec* b = right + step * right_step + column * VECTORS;
                for (int v = 0; v < VECTORS; ++v) {
                    Vec other[C];
#pragma GCC unroll 8
                    for (int j = 0; j < C; ++j) other[j] = b[j * VECTORS + v];
#pragma GCC unroll 8
                    for (int i = 0; i < R; ++i) {
                        const Vec one = a[i * VECTORS + v];
#pragma GCC unroll 8
                        for (int j = 0; j < C; ++j) sum[i][j] += one * other[j];
                    }
                }
            }
#pragma GCC unroll 8
            for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
                for (int j = 0; j < C; ++j) out[i * n_right + j] = sum[i][j];
            }
        });
    });
}

inline float total(const Vec& vector) {
    float sum = 0.0f;
    for (int i = 0; i < WIDTH; ++i) sum += vector[i];
    return sum;
}

// ------------------------------------------------------------------------------------------------------------- layer

struct Layer {
    Layer(const at::Tensor& w_ih, const at::Tensor& w_hh, const at::Tensor& b_ih, const at::Tensor& b_hh)
        : n_in(w_ih.size(1)), n_hidden(w_hh.size(1)), kept{w_ih.contiguous(), w_hh.contiguous(), b_ih.contiguous(),
                                                           b_hh.contiguous()} {
        check_weights(w_ih, w_hh, b_ih, b_hh);
        of_input = kept[0].data_ptr<float>(), of_hidden = kept[1].data_ptr<float>();
        input_bias = kept[2].data_ptr<float>(), hidden_bias = kept[3].data_ptr<float>();
    }

    // Four panels of n_hidden rows: what goes into r, into z, and both parts of what goes into n.
    void gates(const Vec* x, const Vec* h, Vec* out) const {
        in_groups<ROWS>(2 * n_hidden, [&](auto n_rows, int64_t row) {
            Vec sums[decltype(n_rows)::value][VECTORS];
            begin(sums, input_bias + row, hidden_bias + row);
            add_product(sums, of_input + row * n_in, n_in, x, n_in);
            add_product(sums, of_hidden + row * n_hidden, n_hidden, h, n_hidden);
            store(sums, out + row * VECTORS);
        });
        in_groups<ROWS>(n_hidden, [&](auto n_rows, int64_t i) {
            const int64_t row = 2 * n_hidden + i;
            Vec sums[decltype(n_rows)::value][VECTORS];
            begin(sums, input_bias + row, nullptr);
            add_product(sums, of_input + row * n_in, n_in, x, n_in);
            store(sums, out + row * VECTORS);
            begin(sums, hidden_bias + row, nullptr);
            add_product(sums, of_hidden + row * n_hidden, n_hidden, h, n_hidden);
            store(sums, out + (row + n_hidden) * VECTORS);
        });
    }

    template <int N>
    static void begin(Vec (&sums)[N][VECTORS], const float* bias, const float* another) {
        for (int i = 0; i < N; ++i) {
            for (int v = 0; v < VECTORS; ++v) sums[i][v] = Vec{} + (bias[i] + (another ? another[i] : 0.0f));
        }
    }

    int64_t n_in, n_hidden;
    std::vector<at::Tensor> kept;
    const float *of_input, *of_hidden, *input_bias, *hidden_bias;
};

int64_t n_blocks(int64_t n_sequences) { return (n_sequences + LANES - 1) / LANES; }

void forward(const at::Tensor& x, const std::optional<at::Tensor>& h0, const at::Tensor& w_ih, const at::Tensor& w_hh,
             const at::Tensor& b_ih, const at::Tensor& b_hh, const at::Tensor& y, bool reverse) {
    check(x), check(y);
    const Layer layer(w_ih, w_hh, b_ih, b_hh);
    check_sizes(x, y, layer.n_in, layer.n_hidden, h0);
    const Sequences inputs(x), outputs(y);
    const std::optional<Sequences> before = initial(h0);
    const int64_t n_sequences = x.size(0) * x.size(1), n_steps = x.size(2), size = layer.n_hidden * VECTORS;
    at::parallel_for(0, n_blocks(n_sequences), 1, [&](int64_t begin, int64_t end) {
        Panel input(layer.n_in), hidden(layer.n_hidden), gates(4 * layer.n_hidden);
        Vec *h = hidden, *g = gates;
        for (int64_t first = begin * LANES; first < std::min(end * LANES, n_sequences); first += LANES) {
            const int64_t count = std::min<int64_t>(LANES, n_sequences - first);
            const Lanes from(inputs, first, count), to(outputs, first, count);
            input.clear(), hidden.clear();
            if (before) Lanes(*before, first, count).read(0, hidden);
            for (int64_t i = 0; i < n_steps; ++i) {
                const int64_t step = reverse ? n_steps - 1 - i : i;
                from.read(step, input);
                layer.gates(input, hidden, gates);
                for (int64_t k = 0; k < size; ++k) {
                    const Vec r = sigmoid(g[k]), z = sigmoid(g[size + k]);
                    const Vec n = hyperbolic_tangent(g[2 * size + k] + r * g[3 * size + k]);
                    h[k] = n + z * (h[k] - n);
                }
                to.write(step, hidden, false);
            }
        }
    });
}

// The gradients of the weights that one thread has added up, lane by lane.
struct Sums {
    explicit Sums(const Layer& layer)
        : of_input(3 * layer.n_hidden * layer.n_in, 1), of_hidden(3 * layer.n_hidden * layer.n_hidden, 1),
          of_gates(4 * layer.n_hidden, 1) {}
    Panel of_input, of_hidden, of_gates;
};

// Write the gradient of the input to dx, or add it there; return those of h0, the weights and the biases.
std::vector<at::Tensor> backward(const at::Tensor& x, const std::optional<at::Tensor>& h0, const at::Tensor& w_ih,
                                 const at::Tensor& w_hh, const at::Tensor& b_ih, const at::Tensor& b_hh,
                                 const at::Tensor& y, const at::Tensor& dy, const at::Tensor& dx, bool reverse,
                                 bool add) {
    check(x), check(y), check(dy), check(dx);
    const Layer layer(w_ih, w_hh, b_ih, b_hh);
    check_sizes(x, y, layer.n_in, layer.n_hidden, h0), check_sizes(dx, dy, layer.n_in, layer.n_hidden, h0);
    const at::Tensor w_ih_t = w_ih.t().contiguous(), w_hh_t = w_hh.t().contiguous();
    const float *to_input = w_ih_t.data_ptr<float>(), *to_hidden = w_hh_t.data_ptr<float>();
    const at::Tensor dh0 = at::empty({x.size(0), x.size(1), layer.n_hidden}, x.options());
    const Sequences inputs(x), outputs(y), output_gradients(dy), input_gradients(dx), first_gradients(dh0.unsqueeze(2));
    const std::optional<Sequences> before = initial(h0);
    const int64_t n_in = layer.n_in, n_hidden = layer.n_hidden, n_gates = 3 * n_hidden, size = n_hidden * VECTORS;
    const int64_t n_sequences = x.size(0) * x.size(1), n_steps = x.size(2);
    std::vector<std::unique_ptr<Sums>> of_threads(at::get_num_threads());

    at::parallel_for(0, n_blocks(n_sequences), 1, [&](int64_t begin, int64_t end) {
        auto& sums = of_threads.at(at::get_thread_num());
        if (!sums) sums = std::make_unique<Sums>(layer);
        Panel input(STEPS * n_in), hidden(STEPS * n_hidden), gates(STEPS * 4 * n_hidden);
        Panel input_gradient(n_in), gradient(n_hidden), given(n_hidden);  // `gradient` is that of h
        Vec *dh = gradient, *new_dh = given, *of_gates = sums->of_gates;
        for (int64_t first = begin * LANES; first < std::min(end * LANES, n_sequences); first += LANES) {
            const int64_t count = std::min<int64_t>(LANES, n_sequences - first);
            const Lanes from(inputs, first, count), states(outputs, first, count), to(input_gradients, first, count);
            const Lanes from_output(output_gradients, first, count);
            input.clear(), hidden.clear(), gradient.clear(), given.clear();
            for (int64_t i = n_steps - 1, slot = 0; i >= 0; --i) {
                const int64_t step = reverse ? n_steps - 1 - i : i;
                Vec *x_now = input + slot * n_in * VECTORS, *h = hidden + slot * size, *g = gates + slot * 4 * size;
                from.read(step, x_now);
                if (i > 0) {
                    states.read(reverse ? step + 1 : step - 1, h);
                } else if (before) {
                    Lanes(*before, first, count).read(0, h);
                } else {
                    std::fill_n(h, size, Vec{});
                }
                layer.gates(x_now, h, g);
                from_output.read(step, new_dh);
                for (int64_t row = 0, k = 0; row < n_hidden; ++row) {
                    Vec sum_r{}, sum_z{}, sum_n{}, sum_hn{};
                    for (int v = 0; v < VECTORS; ++v, ++k) {
                        const Vec r = sigmoid(g[k]), z = sigmoid(g[size + k]), of_h = g[3 * size + k];
                        const Vec n = hyperbolic_tangent(g[2 * size + k] + r * of_h);
                        const Vec d = dh[k] + new_dh[k];
                        const Vec d_n = d * (1.0f - z) * (1.0f - n * n);
                        dh[k] = d * z;
                        sum_r += g[k] = d_n * of_h * r * (1.0f - r);
                        sum_z += g[size + k] = d * (h[k] - n) * z * (1.0f - z);
                        sum_n += g[2 * size + k] = d_n;
                        sum_hn += g[3 * size + k] = d_n * r;
                    }
                    of_gates[row] += sum_r, of_gates[n_hidden + row] += sum_z;
                    of_gates[2 * n_hidden + row] += sum_n, of_gates[3 * n_hidden + row] += sum_hn;
                }
                in_groups<ROWS>(n_in, [&](auto n_rows, int64_t row) {
                    Vec product[decltype(n_rows)::value][VECTORS] = {};
                    add_product(product, to_input + row * n_gates, n_gates, g, n_gates);
                    store(product, input_gradient + row * VECTORS);
                });
                to.write(step, input_gradient, add);
                in_groups<ROWS>(n_hidden, [&](auto n_rows, int64_t row) {
                    constexpr int N = decltype(n_rows)::value;
                    const float* weights = to_hidden + row * n_gates;
                    Vec product[N][VECTORS];
                    for (int k = 0; k < N * VECTORS; ++k) product[k / VECTORS][k % VECTORS] = dh[row * VECTORS + k];
                    add_product(product, weights, n_gates, g, 2 * n_hidden);
                    add_product(product, weights + 2 * n_hidden, n_gates, g + 3 * size, n_hidden);
                    store(product, dh + row * VECTORS);
                });
                if (++slot == STEPS || i == 0) {
                    add_outer(gates, 4 * size, n_gates, input, n_in * VECTORS, n_in, slot, sums->of_input);
                    add_outer(gates, 4 * size, 2 * n_hidden, hidden, size, n_hidden, slot, sums->of_hidden);
                    add_outer(gates + 3 * size, 4 * size, n_hidden, hidden, size, n_hidden, slot,
                              sums->of_hidden + 2 * n_hidden * n_hidden);
                    slot = 0;
                }
            }
            Lanes(first_gradients, first, count).write(0, gradient, false);
        }
    });

    const auto gradients_like = [](const at::Tensor& tensor) { return at::zeros(tensor.sizes(), tensor.options()); };
    const at::Tensor dw_ih = gradients_like(w_ih), dw_hh = gradients_like(w_hh);
    const at::Tensor db_ih = gradients_like(b_ih), db_hh = gradients_like(b_hh);
    for (const auto& sums : of_threads) {
        if (!sums) continue;
        const auto add_totals = [](const at::Tensor& to, const Vec* vectors) {
            float* out = to.data_ptr<float>();
            for (int64_t i = 0; i < to.numel(); ++i) out[i] += total(vectors[i]);
        };
        add_totals(dw_ih, sums->of_input);
        add_totals(dw_hh, sums->of_hidden);
        add_totals(db_ih, sums->of_gates);
        add_totals(db_hh.narrow(0, 0, 2 * n_hidden), sums->of_gates);
        add_totals(db_hh.narrow(0, 2 * n_hidden, n_hidden), sums->of_gates + 3 * n_hidden);
    }
    return {dh0, dw_ih, dw_hh, db_ih, db_hh};
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
    module.def("forward", &forward, pybind11::call_guard<pybind11::gil_scoped_release>());
    module.def("backward", &backward, pybind11::call_guard<pybind11::gil_scoped_release>());
}
