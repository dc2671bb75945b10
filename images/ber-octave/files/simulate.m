% Counts the bit errors of one item and writes them as JSON:
%
%   octave-cli simulate.m values=FILE seed=1 item=0 ebn0_db=8 num_frames=300000 frame_size=4096
%
% It ends with exit code 1 and a line on standard error when a parameter is wrong or the file cannot be written.
1;  % a script, even if a function should ever come first

addpath(fileparts(mfilename("fullpath")));

given = read_parameters(argv());
use_stream(given.seed, given.item);
bits = given.num_frames * given.frame_size;
bit_errors = count_errors(given.ebn0_db, bits);
write_values(given.values, bits, bit_errors);
