% The seed's model, for the bench: frame by frame, bits from randi, noise from randn, a decision by sign, errors summed.
% A line for each generator, after a start that is not counted: its name, bits, bit errors, seconds of the processor.
% The seed's own generator is "seed", Octave's old one; "twister" is the one it has by default.
%
%   octave-cli seed_model.m FRAMES FRAME_SIZE EBN0_DB GENERATOR...

words = argv();
frames = str2double(words{1});
frame_size = str2double(words{2});
deviation = sqrt(10 ^ (-str2double(words{3}) / 10) / 2);

for word = 4:numel(words)
  generator = words{word};
  for count = [ceil(frames / 10), frames]
    rand(generator, 1);
    randn(generator, 1);
    bits = 0;
    errors = 0;
    began = cputime();
    for frame = 1:count
      sent = randi([0 1], frame_size, 1);
      symbols = 1 - 2 * sent;
      received = symbols + deviation * randn(frame_size, 1);
      decided = (1 - sign(received)) / 2;
      errors = errors + sum(decided ~= sent);
      bits = bits + frame_size;
    end
    seconds = cputime() - began;
  end
  printf("%s %d %d %.6f\n", generator, bits, errors, seconds);
end
