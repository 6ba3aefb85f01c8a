/* Threads that run one function together, share out numbered work as each gets to it, and wait for each other. */
#ifndef VSAPISR_THREADS_H
#define VSAPISR_THREADS_H

#include <stdatomic.h>
#include <stddef.h>

/* What the two systems call the same: a lock, a sleep until something changed, a thread of a function. */
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
typedef SRWLOCK Lock;
typedef CONDITION_VARIABLE Change;
typedef HANDLE Thread;
#define THREAD_FUNCTION(name, argument) static DWORD WINAPI name(LPVOID argument)
#define THREAD_END 0
#define lock_begin(lock, change) (InitializeSRWLock(lock), InitializeConditionVariable(change))
#define lock_end(lock, change) ((void)0)
#define lock_take(lock) AcquireSRWLockExclusive(lock)
#define lock_give(lock) ReleaseSRWLockExclusive(lock)
#define change_wait(change, lock) SleepConditionVariableSRW(change, lock, INFINITE, 0)
#define change_tell(change) WakeAllConditionVariable(change)
#define thread_begin(thread, function, argument) \
    ((*(thread) = CreateThread(NULL, 0, function, argument, 0, NULL)) != NULL)
#define thread_end(thread) (WaitForSingleObject(thread, INFINITE), CloseHandle(thread))
#else
#include <pthread.h>
typedef pthread_mutex_t Lock;
typedef pthread_cond_t Change;
typedef pthread_t Thread;
#define THREAD_FUNCTION(name, argument) static void *name(void *argument)
#define THREAD_END NULL
#define lock_begin(lock, change) (pthread_mutex_init(lock, NULL), pthread_cond_init(change, NULL))
#define lock_end(lock, change) (pthread_cond_destroy(change), pthread_mutex_destroy(lock))
#define lock_take(lock) pthread_mutex_lock(lock)
#define lock_give(lock) pthread_mutex_unlock(lock)
#define change_wait(change, lock) pthread_cond_wait(change, lock)
#define change_tell(change) pthread_cond_broadcast(change)
#define thread_begin(thread, function, argument) (!pthread_create(thread, NULL, function, argument))
#define thread_end(thread) pthread_join(thread, NULL)
#endif

#define MAX_THREADS 256

typedef struct Team {
    Lock lock;
    Change change;
    int size, arrived, begun;
    unsigned round;
    atomic_ptrdiff_t taken; /* pieces of the work in hand */
} Team;

static void team_wait(Team *team) {
    lock_take(&team->lock);
    if (++team->arrived == team->size) {
        team->arrived = 0, team->round++;
        atomic_store(&team->taken, 0);
        change_tell(&team->change);
    } else {
        for (unsigned round = team->round; round == team->round;)
            change_wait(&team->change, &team->lock);
    }
    lock_give(&team->lock);
}

/* The next piece of the work in hand. All must have seen the end, and team_wait, before other work is begun. */
static ptrdiff_t team_next(Team *team) {
    return atomic_fetch_add(&team->taken, 1);
}

typedef struct Member {
    Team *team;
    void (*work)(void *job, Team *team, int number);
    void *job;
    int number;
} Member;

THREAD_FUNCTION(member_run, argument) {
    Member *member = argument;
    lock_take(&member->team->lock); /* until the size is known */
    while (!member->team->begun)
        change_wait(&member->team->change, &member->team->lock);
    lock_give(&member->team->lock);
    member->work(member->job, member->team, member->number);
    return THREAD_END;
}

/* work(job, team, 0 .. size - 1) on `count` threads, this one among them; on fewer if the system gives no more. */
static void team_run(int count, void (*work)(void *, Team *, int), void *job) {
    Team team = {.size = 1};
    Thread threads[MAX_THREADS];
    Member members[MAX_THREADS];
    lock_begin(&team.lock, &team.change);
    while (team.size < count && team.size < MAX_THREADS) {
        members[team.size] = (Member){&team, work, job, team.size};
        if (!thread_begin(&threads[team.size], member_run, &members[team.size]))
            break;
        team.size++;
    }
    lock_take(&team.lock);
    team.begun = 1;
    change_tell(&team.change);
    lock_give(&team.lock);
    work(job, &team, 0);
    for (int i = 1; i < team.size; i++)
        thread_end(threads[i]);
    lock_end(&team.lock, &team.change);
}

#endif
