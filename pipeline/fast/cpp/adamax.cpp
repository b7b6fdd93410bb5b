// A step of Adamax (Kingma and Ba, 2015, algorithm 2, with torch's place for epsilon), and of the average of the weights.
#include <algorithm>
#include <cmath>

// Updates numbers start … stop − 1 of all `tensors`, counted through. `rates` are corrected for the bias of the mean.
extern "C" void update(long start, long stop, int tensors, const long* sizes, float** weights, float** gradients,
                       float** means, float** maxima, float** averages, const float* rates, float beta1, float beta2,
                       float epsilon, float share) {
    for (int t = 0; t < tensors; start -= sizes[t], stop -= sizes[t], t++) {
        float *__restrict w = weights[t], *__restrict mean = means[t], *__restrict maximum = maxima[t];
        float* __restrict average = averages[t];
        const float* __restrict g = gradients[t];
        const float rate = rates[t];
        const long end = std::min(stop, sizes[t]);
        for (long i = std::max(start, 0L); i < end; i++) {
            mean[i] += (1 - beta1) * (g[i] - mean[i]);
            maximum[i] = std::max(beta2 * maximum[i], std::abs(g[i]) + epsilon);
            w[i] -= rate * mean[i] / maximum[i];
            average[i] += share * (w[i] - average[i]);
        }
    }
}
