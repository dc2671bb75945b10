/* bcryptprimitives.dll's ProcessPrng, where Wine has no such library: random bytes from advapi32's RtlGenRandom. */
int __stdcall SystemFunction036(void *buffer, unsigned long size);

#define MOST 0x100000ULL

int __stdcall ProcessPrng(unsigned char *buffer, unsigned long long size) {
  while (size) {
    unsigned long part = (unsigned long)(size < MOST ? size : MOST);
    SystemFunction036(buffer, part);
    buffer += part;
    size -= part;
  }
  return 1;
}

int __stdcall DllMain(void *module, unsigned long reason, void *reserved) {
  (void)module, (void)reason, (void)reserved;
  return 1;
}
