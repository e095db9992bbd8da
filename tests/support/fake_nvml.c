/* NVIDIA's management library as a machine with two GPUs would have it: one that tells everything, one that tells little.
   Built by tests that have a C compiler, and loaded by the real pynvml in the place of the driver's own. */
#include <stdio.h>
#include <string.h>

typedef unsigned long long u64;
typedef struct { u64 total, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Rates;

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

static int gpus[2] = { 0, 1 };
static int is_poor(void *gpu) { return *(int *)gpu == 1; }
static int said(char *out, unsigned size, const char *text) { snprintf(out, size, "%s", text); return OK; }

int nvmlInitWithFlags(unsigned flags) { (void)flags; return OK; }
const char *nvmlErrorString(int code) { (void)code; return "what a test makes up"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return OK; }
int nvmlSystemGetDriverVersion(char *out, unsigned size) { return said(out, size, "555.42"); }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu)
{
    if (index > 1) return NOT_FOUND;
    *gpu = &gpus[index];
    return OK;
}

int nvmlDeviceGetName(void *gpu, char *out, unsigned size)
{
    return said(out, size, is_poor(gpu) ? "Poor GPU" : "NVIDIA Test 24GB");
}

int nvmlDeviceGetUUID(void *gpu, char *out, unsigned size)
{
    return said(out, size, is_poor(gpu) ? "GPU-bbbb-2" : "GPU-aaaa-1");
}

int nvmlDeviceGetMemoryInfo(void *gpu, Memory *memory)
{
    if (is_poor(gpu)) return NOT_SUPPORTED;
    memory->total = 24ull << 30;
    memory->used = 3ull << 30;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *gpu, Rates *rates)
{
    if (is_poor(gpu)) return NOT_SUPPORTED;
    rates->gpu = 97;
    rates->memory = 40;
    return OK;
}

int nvmlDeviceGetClockInfo(void *gpu, int kind, unsigned *mhz)
{
    if (is_poor(gpu)) return NOT_SUPPORTED;
    if (kind != 1) return INVALID; /* NVML_CLOCK_SM */
    *mhz = 1410;
    return OK;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *gpu, u64 *bits)
{
    if (is_poor(gpu)) return NOT_SUPPORTED;
    *bits = 0x1 | 0x40; /* idle, and hot */
    return OK;
}

int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *degrees)
{
    if (is_poor(gpu) || sensor != 0) return NOT_SUPPORTED;
    *degrees = 88;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, void *processes)
{
    (void)processes;
    if (is_poor(gpu)) return NOT_SUPPORTED;
    *count = 0;
    return OK;
}
