// Preloaded, it makes a Vulkan driver lose its device, or run out of memory, at a given call.
// The file that WISP_LOST names (32-bit words) says when, and is told what happened:
//   0  at which call: 1 vkWaitSemaphores, 2 vkQueueSubmit, 3 vkGetSemaphoreCounterValue,
//      4 vkAllocateMemory (out of memory, of word 4 bytes or more); 0 never
//   1  how many more of these calls succeed
//   2  how often it has happened
//   3  calls of that kind so far
// A lost device stays lost, whatever is asked of it; one that is opened later is not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WAIT = 1, SUBMIT, COUNTER, ALLOCATE };
enum { AT, MORE, HAPPENED, CALLS, BYTES, WORDS };
#define DEVICE_LOST (-4)
#define OUT_OF_DEVICE_MEMORY (-2)
#define MOST 4096

typedef void (*Function)(void);
typedef Function (*Lookup)(void *, const char *);
typedef int32_t (*Create)(void *, const void *, const void *, void **);
typedef void (*GetQueue)(void *, uint32_t, uint32_t, void **);
typedef void (*GetQueue2)(void *, const void *, void **);
typedef int32_t (*Wait)(void *, const void *, uint64_t);
typedef int32_t (*Submit)(void *, uint32_t, const void *, uint64_t);
typedef int32_t (*Counter)(void *, uint64_t, uint64_t *);
typedef int32_t (*Idle)(void *);
typedef int32_t (*Allocate)(void *, const void *, const void *, uint64_t *);

static Lookup of_instance, of_device;
static Create create;
static GetQueue get_queue;
static GetQueue2 get_queue2;
static Wait wait;
static Submit submit;
static Counter counter;
static Idle queue_idle, device_idle;
static Allocate allocate;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *lost[MOST];
static void *queues[MOST], *owners[MOST];
static int lost_count, queue_count;

static volatile uint32_t *words(void) {
    static uint32_t *mapped;
    if (!mapped) {
        static uint32_t none[WORDS];
        const char *path = getenv("WISP_LOST");
        int file = path ? open(path, O_RDWR) : -1;
        void *at = file < 0 ? MAP_FAILED
                            : mmap(0, 4 * WORDS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        mapped = at == MAP_FAILED ? none : at;
    }
    return mapped;
}

static int is_lost(void *device) {
    for (int i = 0; i < lost_count; i++) {
        if (lost[i] == device) return 1;
    }
    return 0;
}

// Whether this call of that kind is the one.
static int is_due(uint32_t kind) {
    volatile uint32_t *word = words();
    if (word[AT] != kind) return 0;
    word[CALLS]++;
    if (word[MORE]-- > 0) return 0;
    word[AT] = 0;
    word[HAPPENED]++;
    return 1;
}

// Whether the device is lost, perhaps by this call.
static int fails(void *device, uint32_t kind) {
    pthread_mutex_lock(&lock);
    int gone = is_lost(device);
    if (!gone && kind && lost_count < MOST && is_due(kind)) {
        lost[lost_count++] = device;
        gone = 1;
    }
    pthread_mutex_unlock(&lock);
    return gone;
}

static void *owner(void *queue) {
    for (int i = 0; i < queue_count; i++) {
        if (queues[i] == queue) return owners[i];
    }
    return 0;
}

static void note_queue(void *device, void *queue) {
    pthread_mutex_lock(&lock);
    int at = 0;
    while (at < queue_count && queues[at] != queue) at++;
    if (at < MOST) {
        queues[at] = queue;
        owners[at] = device;
        if (at == queue_count) queue_count++;
    }
    pthread_mutex_unlock(&lock);
}

static int32_t my_create(void *adapter, const void *info, const void *host, void **device) {
    int32_t result = create(adapter, info, host, device);
    pthread_mutex_lock(&lock);
    for (int i = 0; !result && i < lost_count; i++) {
        if (lost[i] == *device) lost[i] = 0; // its place in memory is another's now
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static void my_get_queue(void *device, uint32_t family, uint32_t index, void **queue) {
    get_queue(device, family, index, queue);
    note_queue(device, *queue);
}

static void my_get_queue2(void *device, const void *info, void **queue) {
    get_queue2(device, info, queue);
    note_queue(device, *queue);
}

static int32_t my_wait(void *device, const void *info, uint64_t timeout) {
    return fails(device, WAIT) ? DEVICE_LOST : wait(device, info, timeout);
}

static int32_t my_submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
    return fails(owner(queue), SUBMIT) ? DEVICE_LOST : submit(queue, count, submits, fence);
}

static int32_t my_counter(void *device, uint64_t semaphore, uint64_t *value) {
    return fails(device, COUNTER) ? DEVICE_LOST : counter(device, semaphore, value);
}

static int32_t my_queue_idle(void *queue) {
    int32_t result = queue_idle(queue);
    return fails(owner(queue), 0) ? DEVICE_LOST : result;
}

static int32_t my_device_idle(void *device) {
    int32_t result = device_idle(device);
    return fails(device, 0) ? DEVICE_LOST : result;
}

static int32_t my_allocate(void *device, const void *info, const void *host, uint64_t *memory) {
    // VkMemoryAllocateInfo: type, next, size
    uint64_t bytes = ((const uint64_t *)info)[2];
    pthread_mutex_lock(&lock);
    int none = bytes >= words()[BYTES] && is_due(ALLOCATE);
    pthread_mutex_unlock(&lock);
    return none ? OUT_OF_DEVICE_MEMORY : allocate(device, info, host, memory);
}

static Function replaced(Function found, const char *name) {
    if (!found) return found;
#define REPLACE(call, real, mine) \
    if (!strcmp(name, call)) { \
        *(Function *)&real = found; \
        return (Function)mine; \
    }
    REPLACE("vkCreateDevice", create, my_create)
    REPLACE("vkGetDeviceQueue", get_queue, my_get_queue)
    REPLACE("vkGetDeviceQueue2", get_queue2, my_get_queue2)
    REPLACE("vkWaitSemaphores", wait, my_wait)
    REPLACE("vkWaitSemaphoresKHR", wait, my_wait)
    REPLACE("vkQueueSubmit", submit, my_submit)
    REPLACE("vkGetSemaphoreCounterValue", counter, my_counter)
    REPLACE("vkGetSemaphoreCounterValueKHR", counter, my_counter)
    REPLACE("vkQueueWaitIdle", queue_idle, my_queue_idle)
    REPLACE("vkDeviceWaitIdle", device_idle, my_device_idle)
    REPLACE("vkAllocateMemory", allocate, my_allocate)
    return found;
}

static Function my_of_device(void *device, const char *name) {
    return replaced(of_device(device, name), name);
}

static Function my_of_instance(void *instance, const char *name) {
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)my_of_instance;
    Function found = of_instance(instance, name);
    if (found && !strcmp(name, "vkGetDeviceProcAddr")) {
        of_device = (Lookup)found;
        return (Function)my_of_device;
    }
    return replaced(found, name);
}

// Whoever opens the Vulkan loader asks it for vkGetInstanceProcAddr, by dlsym.
void *dlsym(void *library, const char *name) {
    static void *(*real)(void *, const char *);
    if (!real) *(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!real) *(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    if (!real) *(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
    void *found = real(library, name);
    Dl_info info;
    if (found && !strcmp(name, "vkGetInstanceProcAddr") && dladdr(found, &info)
        && strstr(info.dli_fname, "libvulkan.so")) {
        *(void **)&of_instance = found;
        return (void *)my_of_instance;
    }
    return found;
}
