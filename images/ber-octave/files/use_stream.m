function use_stream(seed, item)
  % Makes the random numbers those of an item: the same in each attempt, others for another item or seed.
  %
  %   seed, item  decimal digits, as text
  %
  % Octave keeps a Mersenne twister for uniform and one for normal numbers. Each begins with a state that MT19937's
  % init_by_array makes of eight words: a SHA-256 of what the numbers are for, of seed and item. Never by
  % randn("seed", n): that chooses the generator of old, whose normal numbers end at -5.17.
  rand("twister", words_of("bits", seed, item));
  randn("twister", words_of("noise", seed, item));
end

function words = words_of(purpose, seed, item)
  words = sscanf(hash("sha256", sprintf("ber-octave/1 %s %s %s", purpose, seed, item)), "%8x");
end
