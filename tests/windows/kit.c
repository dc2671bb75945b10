/* What the tests of Windows containers run: `kit.exe VERB …`. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

static const wchar_t *name;
static DWORD handler_wait;
static int handler_code;
static HANDLE leaving; /* The main thread ends the process, while the handler waits, as Python's programs do. */

static void print(const wchar_t *text) {
  char bytes[32768];
  int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof bytes, NULL, NULL);
  fwrite(bytes, 1, (size_t)(size - 1), stdout);
}

static void line(const wchar_t *text, unsigned long number) {
  print(name);
  printf(" ");
  print(text);
  printf(" %lu\n", number);
  fflush(stdout);
}

static BOOL WINAPI told(DWORD event) {
  line(L"told", event);
  Sleep(handler_wait);
  if (handler_code < 0) return TRUE; /* Windows ends the process now */
  line(L"ends", (unsigned long)handler_code);
  if (leaving) {
    SetEvent(leaving);
    Sleep(INFINITE);
  }
  ExitProcess((UINT)handler_code);
}

static HANDLE start(wchar_t *command, DWORD flags) {
  STARTUPINFOW how = {.cb = sizeof how};
  PROCESS_INFORMATION made;
  if (!CreateProcessW(NULL, command, NULL, NULL, TRUE, flags, NULL, NULL, &how, &made)) {
    line(L"cannot start", GetLastError());
    ExitProcess(1);
  }
  return made.hProcess;
}

int wmain(int count, wchar_t **words) {
  const wchar_t *verb = count > 1 ? words[1] : L"";
  _setmode(_fileno(stdout), _O_BINARY);
  name = L"kit";
  if (!wcscmp(verb, L"words")) {
    for (int i = 2; i < count; i++) {
      printf("[");
      print(words[i]);
      printf("]\n");
    }
    return 0;
  }
  if (!wcscmp(verb, L"where")) {
    wchar_t folder[MAX_PATH], user[256];
    DWORD size = 256;
    GetCurrentDirectoryW(MAX_PATH, folder);
    print(folder);
    GetUserNameW(user, &size);
    printf("\n");
    print(user);
    printf("\n");
    return 0;
  }
  if (!wcscmp(verb, L"environment")) {
    for (wchar_t *entry = GetEnvironmentStringsW(); *entry; entry += wcslen(entry) + 1) {
      print(entry);
      printf("\n");
    }
    return 0;
  }
  if (!wcscmp(verb, L"version")) {
    OSVERSIONINFOEXW version = {.dwOSVersionInfoSize = sizeof version};
    LONG(WINAPI * get)(void *) = (void *)GetProcAddress(GetModuleHandleW(L"ntdll"), "RtlGetVersion");
    get(&version);
    printf("%lu.%lu.%lu %d\n", version.dwMajorVersion, version.dwMinorVersion, version.dwBuildNumber,
           version.wProductType);
    return 0;
  }
  if (!wcscmp(verb, L"exit")) ExitProcess((UINT)wcstoul(words[2], NULL, 0));
  if (!wcscmp(verb, L"crash")) *(volatile int *)0 = 1;
  if (!wcscmp(verb, L"load")) { /* load LIBRARY */
    if (LoadLibraryW(words[2])) return 0;
    line(L"cannot load", GetLastError());
    return 1;
  }
  if (!wcscmp(verb, L"unlock")) { /* unlock FILE TEXT: no attribute keeps it from being written to, then write */
    SetFileAttributesW(words[2], FILE_ATTRIBUTE_READONLY);
    SetFileAttributesW(words[2], FILE_ATTRIBUTE_NORMAL);
    verb = L"write";
  }
  if (!wcscmp(verb, L"write")) { /* write FILE TEXT: the error, 0 for none */
    HANDLE file = CreateFileW(words[2], GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_ALWAYS, 0, NULL);
    DWORD error = file == INVALID_HANDLE_VALUE ? GetLastError() : 0, size;
    if (!error) WriteFile(file, words[3], (DWORD)(2 * wcslen(words[3])), &size, NULL);
    line(L"wrote", error);
    return 0;
  }
  if (!wcscmp(verb, L"type")) { /* type FILE */
    FILE *file = _wfopen(words[2], L"rb");
    char bytes[4096];
    if (!file) return 1;
    fwrite(bytes, 1, fread(bytes, 1, sizeof bytes, file), stdout);
    return 0;
  }
  /* wait NAME MILLISECONDS CODE: until told; -1: the handler returns; none: no handler. LIBRARY: leave, with it loaded */
  if (!wcscmp(verb, L"wait")) {
    name = words[2];
    if (count > 5) {
      leaving = CreateEventW(NULL, FALSE, FALSE, NULL);
      if (!LoadLibraryW(words[5])) line(L"cannot load", GetLastError());
    }
    if (count > 4) {
      handler_wait = wcstoul(words[3], NULL, 10);
      handler_code = (int)wcstol(words[4], NULL, 10);
      SetConsoleCtrlHandler(told, TRUE);
    }
    line(L"waits", GetCurrentProcessId());
    WaitForSingleObject(leaving ? leaving : GetCurrentProcess(), INFINITE);
    ExitProcess((UINT)handler_code);
  }
  if (!wcscmp(verb, L"both")) { /* both MILLISECONDS CODE FLAGS: parent and child wait to be told */
    wchar_t command[256];
    swprintf(command, 256, L"kit.exe wait child %ls 9", words[2]);
    name = L"parent";
    handler_wait = wcstoul(words[2], NULL, 10);
    handler_code = (int)wcstol(words[3], NULL, 10);
    SetConsoleCtrlHandler(told, TRUE);
    start(command, wcstoul(words[4], NULL, 0));
    line(L"waits", GetCurrentProcessId());
    Sleep(INFINITE);
  }
  if (!wcscmp(verb, L"leave")) { /* leave: ends, and a child and its child stay behind, detached from it */
    wchar_t child[] = L"kit.exe leave-on", grandchild[] = L"kit.exe wait grandchild";
    if (count > 2) return 0;
    start(child, DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    start(grandchild, CREATE_NEW_CONSOLE);
    Sleep(300);
    return 7;
  }
  if (!wcscmp(verb, L"leave-on")) {
    wchar_t child[] = L"kit.exe wait child";
    start(child, CREATE_NO_WINDOW);
    Sleep(INFINITE);
  }
  return 64;
}
