"""The sample workload: the bit error rate of BPSK over a channel with white Gaussian noise, by Monte Carlo."""
