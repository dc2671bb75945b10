/* A library that takes a while to tidy up when its process ends, once its other threads have been ended. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, void *ending) {
  (void)library;
  if (reason == DLL_PROCESS_DETACH && ending) Sleep(700);
  return TRUE;
}
