/* The first process of a Windows container, in the place of Windows' own Container Execution Agent (CExecSvc.exe).
 *
 * It starts the container's program, tells all processes of the container when it is to stop, and says how the program
 * ended. Its standard input comes from the engine: first the number of bytes of a block (32 bits, little endian) and the
 * block, then lines. The block is UTF-16, each part of it ended by a zero:
 *
 *     a file, command line, working folder, "together" or "newest-first", and the environment, which one more zero ends.
 *
 * The line "stop" begins a stop. What it says goes to that file, in lines of two words:
 *
 *     started 0, or failed and Windows' error code: the program cannot be started
 *     exit and the program's exit code, all 32 bits of it, unsigned
 *
 * Its standard output is the standard output and standard error of the program. Its standard error is that of Wine's
 * services, which it starts: what they say is not the program's.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define MOST_PROCESSES 4096
/* STATUS_CONTROL_C_EXIT: what Windows ends a process with that has been told and has not ended by itself. */
#define ENDED_BY_EVENT 0xC000013A
/* What the thread that calls the handlers ends with when they have returned, and the milliseconds that a program has
 * which ends just then with the same number. */
#define RETURNED 1
#define ENDING 300
/* ProcessParameters of a 64-bit process environment block, and ConsoleFlags in them. */
#define PARAMETERS 0x20
#define CONSOLE_FLAGS 0x18

typedef LONG(WINAPI *query_process)(HANDLE, int, void *, ULONG, ULONG *);

static HANDLE job, engine;
static BOOL newest_first;

struct member {
  HANDLE process;
  ULONGLONG began;
};

static void say(const char *word, DWORD number) {
  char line[64];
  DWORD size = (DWORD)snprintf(line, sizeof line, "%s %lu\n", word, number), written;
  WriteFile(engine, line, size, &written, NULL);
}

static BOOL hear(void *buffer, DWORD size) {
  char *next = buffer;
  DWORD got;
  for (; size; next += got, size -= got)
    if (!ReadFile(GetStdHandle(STD_INPUT_HANDLE), next, size, &got, NULL) || !got) return FALSE;
  return TRUE;
}

/* Wine keeps every event from a process that was started in a process group of its own; Windows only CTRL_C_EVENT
 * (documentation of CREATE_NEW_PROCESS_GROUP). The mark is in the process's own memory. */
static void let_events_in(HANDLE process) {
  query_process query = (query_process)(void *)GetProcAddress(GetModuleHandleW(L"ntdll"), "NtQueryInformationProcess");
  ULONG_PTR basic[6], parameters = 0;
  ULONG none = 0;
  if (query(process, 0, basic, sizeof basic, NULL)) return;
  if (ReadProcessMemory(process, (char *)basic[1] + PARAMETERS, &parameters, sizeof parameters, NULL) && parameters)
    WriteProcessMemory(process, (char *)parameters + CONSOLE_FLAGS, &none, sizeof none, NULL);
}

/* Call the process's handlers, as the console's server does: by a thread in it. Windows ends a process whose handlers
 * have returned (documentation of HandlerRoutine). One that ends by itself ends its threads first, with its exit code,
 * then lets its libraries tidy up, and has that exit code only after that (documentation of ExitProcess): it is left
 * to do so, as is one that ends already and takes no thread. */
static DWORD WINAPI tell(void *given) {
  HANDLE process = given;
  LPTHREAD_START_ROUTINE routine =
      (LPTHREAD_START_ROUTINE)(void *)GetProcAddress(GetModuleHandleW(L"kernelbase"), "CtrlRoutine");
  let_events_in(process);
  HANDLE thread = CreateRemoteThread(process, NULL, 0, routine, (void *)(ULONG_PTR)CTRL_SHUTDOWN_EVENT, 0, NULL);
  if (thread) {
    DWORD ended_with = RETURNED;
    WaitForSingleObject(thread, INFINITE);
    GetExitCodeThread(thread, &ended_with);
    CloseHandle(thread);
    if (ended_with == RETURNED && WaitForSingleObject(process, ENDING)) TerminateProcess(process, ENDED_BY_EVENT);
  }
  /* The next one is told when this one is gone. */
  WaitForSingleObject(process, INFINITE);
  return 0;
}

static int by_age(const void *one, const void *other) {
  ULONGLONG a = ((const struct member *)one)->began, b = ((const struct member *)other)->began;
  return a < b ? 1 : a > b ? -1 : 0;
}

static BOOL is_console(HANDLE process) {
  wchar_t path[MAX_PATH];
  DWORD length = MAX_PATH;
  if (!QueryFullProcessImageNameW(process, 0, path, &length)) return FALSE;
  const wchar_t *name = wcsrchr(path, L'\\');
  return name && !_wcsicmp(name + 1, L"conhost.exe");
}

/* The processes of the container, the newest first. */
static int members(struct member *found) {
  static struct {
    DWORD assigned, count;
    ULONG_PTR ids[MOST_PROCESSES];
  } list;
  int number = 0;
  QueryInformationJobObject(job, JobObjectBasicProcessIdList, &list, sizeof list, NULL);
  for (DWORD i = 0; i < list.count && i < MOST_PROCESSES; i++) {
    FILETIME began, other;
    HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)list.ids[i]);
    if (!process) continue;
    if (is_console(process) || !GetProcessTimes(process, &began, &other, &other, &other)) {
      CloseHandle(process);
      continue;
    }
    found[number].process = process;
    found[number++].began = ((ULONGLONG)began.dwHighDateTime << 32) | began.dwLowDateTime;
  }
  qsort(found, (size_t)number, sizeof *found, by_age);
  return number;
}

static void stop(void) {
  static struct member found[MOST_PROCESSES];
  int number = members(found);
  for (int i = 0; i < number; i++) {
    HANDLE telling = CreateThread(NULL, 0, tell, found[i].process, 0, NULL);
    if (newest_first) WaitForSingleObject(telling, INFINITE);
    CloseHandle(telling);
  }
}

static DWORD WINAPI listen(void *unused) {
  char line[16];
  size_t length = 0;
  (void)unused;
  while (length < sizeof line && hear(line + length, 1)) {
    if (line[length++] != '\n') continue;
    if (!strncmp(line, "stop\n", length)) stop();
    length = 0;
  }
  return 0;
}

static HANDLE inherited(DWORD which) {
  HANDLE own = GetStdHandle(which), copy = NULL, me = GetCurrentProcess();
  DuplicateHandle(me, own, me, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS);
  return copy;
}

int wmain(void) {
  uint32_t size;
  if (!hear(&size, sizeof size)) return 1;
  wchar_t *file = malloc(size);
  if (!file || !hear(file, size)) return 1;
  engine = CreateFileW(file, GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
  if (engine == INVALID_HANDLE_VALUE) return 1;
  wchar_t *command = file + wcslen(file) + 1;
  wchar_t *folder = command + wcslen(command) + 1;
  wchar_t *order = folder + wcslen(folder) + 1;
  wchar_t *environment = order + wcslen(order) + 1;
  newest_first = !wcscmp(order, L"newest-first");

  /* A program without a folder is looked for in the working folder and the PATH of the process that starts it. */
  if (!SetCurrentDirectoryW(folder)) {
    say("failed", GetLastError());
    return 0;
  }
  for (wchar_t *entry = environment; *entry; entry += wcslen(entry) + 1)
    if (!_wcsnicmp(entry, L"PATH=", 5)) SetEnvironmentVariableW(L"PATH", entry + 5);

  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  job = CreateJobObjectW(NULL, NULL);
  SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);

  SECURITY_ATTRIBUTES to_inherit = {sizeof to_inherit, NULL, TRUE};
  STARTUPINFOW start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
  PROCESS_INFORMATION made;
  start.hStdInput =
      CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, &to_inherit, OPEN_EXISTING, 0, NULL);
  start.hStdOutput = inherited(STD_OUTPUT_HANDLE);
  start.hStdError = inherited(STD_OUTPUT_HANDLE);
  for (DWORD own = 0; own < 3; own++)
    SetHandleInformation(GetStdHandle((DWORD[]){STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE}[own]),
                         HANDLE_FLAG_INHERIT, 0);
  if (!CreateProcessW(NULL, command, NULL, NULL, TRUE, CREATE_SUSPENDED | CREATE_NO_WINDOW | CREATE_UNICODE_ENVIRONMENT,
                      environment, NULL, &start, &made)) {
    say("failed", GetLastError());
    return 0;
  }
  AssignProcessToJobObject(job, made.hProcess);
  CloseHandle(start.hStdInput);
  CloseHandle(start.hStdOutput);
  CloseHandle(start.hStdError);
  ResumeThread(made.hThread);
  say("started", 0);

  CreateThread(NULL, 0, listen, NULL, 0, NULL);
  WaitForSingleObject(made.hProcess, INFINITE);
  DWORD code = 1;
  GetExitCodeProcess(made.hProcess, &code);
  say("exit", code);
  /* Without waiting for threads that still tell: what the program left is the engine's to end. */
  ExitProcess(0);
}
