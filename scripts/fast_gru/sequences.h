// What both kinds of GRU take: many sequences in a tensor (outer, inner, step, channel), and the checks of it.

#pragma once

#include <torch/extension.h>

#include <cstdint>
#include <optional>

namespace {

struct Sequences {
    explicit Sequences(const at::Tensor& tensor)
        : data(tensor.data_ptr<float>()), inner(tensor.size(1)), steps(tensor.size(2)), channels(tensor.size(3)),
          outer_stride(tensor.stride(0)), inner_stride(tensor.stride(1)), step_stride(tensor.stride(2)) {
        TORCH_CHECK(tensor.stride(3) == 1 || channels == 1, "channels must lie side by side");
    }
    float* at(int64_t sequence, int64_t step) const {
        return data + sequence / inner * outer_stride + sequence % inner * inner_stride + step * step_stride;
    }
    float* data;
    int64_t inner, steps, channels, outer_stride, inner_stride, step_stride;
};

// The state before the first step, as a sequence of one step.
std::optional<Sequences> initial(const std::optional<at::Tensor>& h0) {
    if (!h0) return std::nullopt;
    return Sequences(h0->unsqueeze(2));
}

void check(const at::Tensor& tensor) {
    TORCH_CHECK(tensor.dim() == 4 && tensor.scalar_type() == at::kFloat && tensor.device().is_cpu(),
                "(outer, inner, step, channel) in float32 on the processor");
}

void check_weights(const at::Tensor& w_ih, const at::Tensor& w_hh, const at::Tensor& b_ih, const at::Tensor& b_hh) {
    const int64_t n_gates = 3 * w_hh.size(1);
    for (const auto& each : {w_ih, w_hh, b_ih, b_hh}) {
        TORCH_CHECK(each.scalar_type() == at::kFloat, "weights must be float32");
        TORCH_CHECK(each.size(0) == n_gates, "three gates of as many rows");
    }
}

// Of what goes in, or its gradient, and what comes out, or its gradient.
void check_sizes(const at::Tensor& x, const at::Tensor& y, int64_t n_in, int64_t n_hidden,
                 const std::optional<at::Tensor>& h0) {
    TORCH_CHECK(x.size(3) == n_in && y.size(3) == n_hidden, "channels are not those of the weights");
    TORCH_CHECK(x.sizes().slice(0, 3) == y.sizes().slice(0, 3), "input and output differ in their sequences or steps");
    TORCH_CHECK(!h0 || (h0->dim() == 3 && h0->size(0) == x.size(0) && h0->size(1) == x.size(1) &&
                        h0->size(2) == n_hidden), "the first state is (outer, inner, hidden)");
}

}  // namespace
