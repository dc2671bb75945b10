function errors = count_errors(ebn0_db, bits)
  % Sends random bits as BPSK over white Gaussian noise; how many of them are decided wrongly.
  %
  %   ebn0_db  energy a bit over the noise's density, in dB
  %   bits     how many
  %
  % A bit is sent as +1 or -1, so its energy is 1; noise of density N0 has the variance N0/2 on each sample.
  n0 = 10 ^ (-ebn0_db / 10);
  deviation = sqrt(n0 / 2);
  errors = 0;
  % So many at once stay in a core's cache. How many has no part in the result: bits and noise are streams of their own.
  block = 2 ^ 14;
  while bits > 0
    count = min(bits, block);
    sent = rand(1, count) < 0.5;
    received = 2 * sent - 1 + deviation * randn(1, count);
    errors = errors + sum((received > 0) ~= sent);
    bits = bits - count;
  end
end
