function given = read_parameters(words)
  % The parameters of an item, from the command line's words (name=value), checked.
  %
  % Seed and item stay text: they name a stream, and a double holds no more than 53 bits of them.
  % An error's text ends with a line feed, so that Octave says it without a list of the functions that were called.
  known = {"values", "seed", "item", "ebn0_db", "num_frames", "frame_size"};
  given = struct();
  for index = 1:numel(words)
    [name, rest] = strtok(words{index}, "=");
    if isempty(rest) || ~any(strcmp(name, known))
      error("unknown parameter '%s'; name=value is expected, of %s\n", words{index}, strjoin(known, ", "));
    elseif isfield(given, name)
      error("parameter %s is given twice\n", name);
    end
    given.(name) = rest(2:end);
  end
  missing = known(~isfield(given, known));
  if ~isempty(missing)
    error("parameter %s is missing\n", strjoin(missing, ", "));
  end
  for name = {"seed", "item"}
    if isempty(regexp(given.(name{1}), '^\d{1,19}$', "once"))
      error("%s is '%s'; a whole number from 0 on is expected\n", name{1}, given.(name{1}));
    end
  end
  given.ebn0_db = number("ebn0_db", given.ebn0_db, -50, 50);
  for name = {"num_frames", "frame_size"}
    given.(name{1}) = number(name{1}, given.(name{1}), 1, 2 ^ 53);
    if given.(name{1}) ~= fix(given.(name{1}))
      error("%s is %g; a whole number is expected\n", name{1}, given.(name{1}));
    end
  end
  if given.num_frames * given.frame_size > 2 ^ 53
    error("num_frames times frame_size is %g bits; 2^53 is the most\n", given.num_frames * given.frame_size);
  end
end

function value = number(name, text, low, high)
  value = str2double(text);
  if ~isreal(value) || ~isfinite(value) || value < low || value > high
    error("%s is '%s'; a number from %g to %g is expected\n", name, text, low, high);
  end
end
