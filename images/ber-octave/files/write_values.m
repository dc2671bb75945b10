function write_values(path, bits, bit_errors)
  % Writes the values of an item as the other workloads of bit error rates have them.
  %
  % The kernel names the method, Octave's version, and a version of this code that changes whenever the counts do.
  [file, problem] = fopen(path, "w");
  if file < 0
    error("%s cannot be written: %s\n", path, problem);
  end
  kernel = sprintf("waveform/octave-%s/1", OCTAVE_VERSION());
  written = fprintf(file, '{"bits": %d, "bit_errors": %d, "kernel": "%s"}\n', bits, bit_errors, kernel);
  if fclose(file) ~= 0 || written <= 0
    error("%s cannot be written: the disk may be full\n", path);
  end
end
