<#
.SYNOPSIS
Looks, on a real Windows host, at what only Windows can show, and writes a record. docs/windows.md says what to do with it.
.DESCRIPTION
It needs a container engine that answers like Docker's, an image of a workload, and no rights but those to start containers. Each
check runs in a container of that image, which is removed. Nothing outside of the record is written.
.PARAMETER Image
The image, by digest, as invoke images.build names it; of ber, so that numba is looked at as well.
.PARAMETER Record
The file for the record.
.PARAMETER Engine
The engine's command.
.EXAMPLE
powershell.exe -File verify-windows.ps1 -Image 123456789012.dkr.ecr.eu-central-1.amazonaws.com/winbatch-dev/ber@sha256:...
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)] [string] $Image,
    [string] $Record = 'windows-record.json',
    [string] $Engine = 'docker'
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$python = 'C:\python\python.exe'
$found = New-Object System.Collections.ArrayList

# Starts the engine. What it writes to standard error is no error of PowerShell's.
function Invoke-Engine([string[]] $Words) {
    $ErrorActionPreference = 'Continue'
    $said = & $Engine @Words 2>&1 | Out-String
    return @{ Code = $LASTEXITCODE; Said = $said.Trim() }
}

# Names the words that run Python code in the image. By way of base64 there is nothing to quote in it.
function Get-Words([string] $Code) {
    $encoded = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($Code))
    return @('--entrypoint', $python, $Image, '-c', "import base64;exec(base64.b64decode('$encoded'))")
}

function Add-Finding([string] $Name, [string] $Expected, [string] $Said, [bool] $Holds) {
    $null = $found.Add([ordered]@{ name = $Name; expected = $Expected; found = $Said; holds = $Holds })
    $word = if ($Holds) { 'holds  ' } else { 'DIFFERS' }
    Write-Host "$word $Name : $Said"
}

# Each prints what it finds; what is expected is an expression for the whole of that.
$checks = @(
    @{ Name = 'python'; Expected = 'win32 3\.12\.\d+ 1 True'; Code = @'
import sys, builtins
print(sys.platform, sys.version.split()[0], sys.flags.utf8_mode, hasattr(builtins, "exit"))
'@ }
    @{ Name = 'time zones'; Expected = 'CET|CEST'; Code = @'
import datetime, zoneinfo
print(datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")).tzname())
'@ }
    @{ Name = 'platform without WMI, seconds'; Expected = '[0-2]\.\d+'; Code = @'
import time
start = time.monotonic()
import platform
platform.uname()
print(round(time.monotonic() - start, 2))
'@ }
    @{ Name = 'DLLs of numba'; Expected = 'there|no numba'; Code = @'
try:
    import numba
except ModuleNotFoundError:
    print("no numba")
else:
    from numba.np.ufunc import workqueue
    print("there")
'@ }
    @{ Name = 'user and where it may write'; Expected = '\w+ True True'; Code = @'
import getpass, os, pathlib, tempfile
def may(folder):
    try:
        pathlib.Path(folder, "probe").touch()
        return True
    except OSError:
        return False
print(getpass.getuser(), may(tempfile.gettempdir()), may(os.getcwd()))
'@ }
    @{ Name = 'longest path that can be written, plain and with \\?\'; Expected = '(2[5-9]\d|\d{4,}) \d{4,}'; Code = @'
import os, tempfile
def longest(prefix):
    root = prefix + tempfile.mkdtemp()
    best = 0
    for length in [*range(200, 270), 300, 1000, 5000]:
        try:
            folder = root
            while len(folder) - len(prefix) + 52 < length:
                folder += os.sep + "d" * 50
                os.makedirs(folder, exist_ok=True)
            path = folder + os.sep
            path += "f" * (length - len(path) + len(prefix))
            open(path, "w").close()
            best = length
        except OSError:
            pass
    return best
print(longest(""), longest(chr(92) * 2 + "?" + chr(92)))
'@ }
    @{ Name = 'names of devices that make no file'; Expected = '.*'; Code = @'
import os, tempfile
os.chdir(tempfile.mkdtemp())
refused = []
for name in ["con", "nul", "aux.txt", "com1", "com1.txt", "lpt9", "conin$", "a.", "b ", "c:d"]:
    try:
        open(name, "w").close()
        if name not in os.listdir():
            refused.append(name)
    except (OSError, ValueError):
        refused.append(name)
print(refused)
'@ }
    @{ Name = 'batch file by its own name takes its words for commands'; Expected = '.*'; Code = @'
import os, subprocess, tempfile
os.chdir(tempfile.mkdtemp())
open("run.cmd", "w").write("@echo %1" + chr(10))
done = subprocess.run([os.path.abspath("run.cmd"), 'x" & echo INJECTED & rem "'], capture_output=True, text=True)
print("INJECTED" in done.stdout.splitlines())
'@ }
    @{ Name = 'batch file that reads !VALUE! does not'; Expected = "\['value: x"" & echo INJECTED %PATH% \^ !PATH!'\]"; Code = @'
import os, subprocess, tempfile
os.chdir(tempfile.mkdtemp())
open("run.cmd", "w").write("@echo off" + chr(10) + "echo value: !VALUE!" + chr(10))
value = 'x" & echo INJECTED %PATH% ^ !PATH!'
words = ["cmd.exe", "/d", "/v:on", "/c", os.path.abspath("run.cmd")]
done = subprocess.run(words, env={**os.environ, "VALUE": value}, capture_output=True, text=True)
print(done.stdout.splitlines())
'@ }
    @{ Name = 'PowerShell takes a word behind -Value: as it is'; Expected = "\['-Other:x', '-5', '', 'a b']"; Code = @'
import os, subprocess, tempfile
path = os.path.join(tempfile.mkdtemp(), "say.ps1")
open(path, "w").write("param([string]$Value, [string]$Other) [Console]::WriteLine('<' + $Value + '>')")
words = ["powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", path, "-Value:"]
said = [subprocess.run([*words, value], capture_output=True, text=True).stdout.strip() for value in ["-Other:x", "-5", "", "a b"]]
print([each[1:-1] for each in said])
'@ }
    @{ Name = 'a process in a job object ends with it, and what it started'; Expected = 'ended'; Code = @'
import sys, time
from winbatch.working.trees import Tree
child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(60)']); time.sleep(60)"
tree = Tree([sys.executable, "-c", child])
tree.output.read(1)
tree.kill()
tree.process.wait(10)
tree.output.read()
print("ended")
'@ }
    @{ Name = 'seconds for which a file stays locked when its program was killed'; Expected = '[01]\.\d+'; Code = @'
import os, subprocess, sys, tempfile, time
path = os.path.join(tempfile.mkdtemp(), "held")
code = "import ctypes, sys, time; ctypes.windll.kernel32.CreateFileW(sys.argv[1], 0xC0000000, 0, None, 2, 0, None); print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
child.stdout.read(1)
child.kill()
start = time.monotonic()
while True:
    try:
        open(path).close()
        break
    except PermissionError:
        time.sleep(0.01)
print(round(time.monotonic() - start, 2))
'@ }
)
foreach ($check in $checks) {
    $done = Invoke-Engine (@('run', '--rm') + (Get-Words $check.Code))
    $whole = '^(?:' + $check.Expected + ')$'
    Add-Finding $check.Name $check.Expected $done.Said (($done.Code -eq 0) -and ($done.Said -match $whole))
}

# Exit codes keep their 32 bits, as the engine tells them: ECS has them from there.
foreach ($code in @('3', '3221225477', '4294967295')) {
    $done = Invoke-Engine (@('run', '--detach') + (Get-Words "import os; os._exit($code - (1 << 32) if $code > 0x7FFFFFFF else $code)"))
    $id = $done.Said
    $null = Invoke-Engine @('wait', $id)
    $told = (Invoke-Engine @('inspect', '--format', '{{.State.ExitCode}}', $id)).Said
    $null = Invoke-Engine @('rm', '--force', $id)
    Add-Finding "exit code $code" $code $told (([int64] $told -band [int64] 4294967295) -eq [int64] $code)
}

# A stop: who is told, in which order, and how long there is. A process that takes all of its time must not be in the others' way.
$stopping = @'
import subprocess, sys, time
from winbatch.working import stopping
code = """
import sys, time
from winbatch.working import stopping
def told(by):
    for second in range(40):
        print(sys.argv[1], by, round(time.time(), 2), flush=True)
        time.sleep(0.5)
stopping.on_stop(told)
print(sys.argv[1], "ready", flush=True)
time.sleep(600)
"""
children = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("second", "third")]
sys.argv = ["", "first"]
exec(code)
'@
$id = (Invoke-Engine (@('run', '--detach') + (Get-Words $stopping))).Said
for ($second = 0; $second -lt 60; $second++) {
    if (([regex]::Matches((Invoke-Engine @('logs', $id)).Said, 'ready')).Count -eq 3) { break }
    Start-Sleep -Seconds 1
}
$watch = [Diagnostics.Stopwatch]::StartNew()
$null = Invoke-Engine @('stop', '--time', '30', $id)
$seconds = [math]::Round($watch.Elapsed.TotalSeconds, 1)
$lines = @((Invoke-Engine @('logs', $id)).Said -split '\r?\n' | Where-Object { $_ -match 'CTRL_' })
$null = Invoke-Engine @('rm', '--force', $id)
$order = @($lines | ForEach-Object { ($_ -split ' ')[0] } | Select-Object -Unique) -join ', '
Add-Finding 'who is told of a stop, in which order' 'first, second and third, in any order' $order (@($order -split ', ').Count -eq 3)
Add-Finding 'seconds from the stop to the end, of 30 asked for' '4 to 8' "$seconds" (($seconds -ge 4) -and ($seconds -le 8))

# Which DLLs the base brings: invoke images.build has a list of them.
$dlls = Invoke-Engine @('run', '--rm', '--entrypoint', 'cmd.exe', $Image, '/d', '/c', 'dir /b C:\Windows\System32\*.dll')

$document = [ordered]@{
    schema = 1
    at = [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ')
    image = $Image
    host = [Environment]::OSVersion.VersionString
    engine = (Invoke-Engine @('version', '--format', '{{.Server.Version}}')).Said
    findings = @($found)
    stop = $lines
    dlls = @($dlls.Said -split '\r?\n' | ForEach-Object { $_.ToLowerInvariant() } | Sort-Object)
}
$text = $document | ConvertTo-Json -Depth 5
[IO.File]::WriteAllText((Join-Path (Get-Location) $Record), $text + "`n", (New-Object Text.UTF8Encoding $false))
$differs = @($found | Where-Object { -not $_.holds })
Write-Host "$($found.Count - $differs.Count) of $($found.Count) hold; the record is $Record"
exit [int] ($differs.Count -gt 0)
