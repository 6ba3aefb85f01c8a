/* Threads that run one function together, share out numbered work as each gets to it, and wait for each other. */
#ifndef VSAPISR_THREADS_H
#define VSAPISR_THREADS_H

#include <pthread.h>
#include <stdatomic.h>

#define MAX_THREADS 256

typedef struct Team {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int size, arrived, begun;
    unsigned round;
    atomic_long taken; /* pieces of the work in hand */
} Team;

static void team_wait(Team *team) {
    pthread_mutex_lock(&team->lock);
    if (++team->arrived == team->size) {
        team->arrived = 0, team->round++;
        atomic_store(&team->taken, 0);
        pthread_cond_broadcast(&team->change);
    } else {
        for (unsigned round = team->round; round == team->round;)
            pthread_cond_wait(&team->change, &team->lock);
    }
    pthread_mutex_unlock(&team->lock);
}

/* The next piece of the work in hand. All must have seen the end, and team_wait, before other work is begun. */
static long team_next(Team *team) {
    return atomic_fetch_add(&team->taken, 1);
}

typedef struct Member {
    Team *team;
    void (*work)(void *job, Team *team, int number);
    void *job;
    int number;
} Member;

static void *member_run(void *argument) {
    Member *member = argument;
    pthread_mutex_lock(&member->team->lock); /* until the size is known */
    while (!member->team->begun)
        pthread_cond_wait(&member->team->change, &member->team->lock);
    pthread_mutex_unlock(&member->team->lock);
    member->work(member->job, member->team, member->number);
    return NULL;
}

/* work(job, team, 0 .. size - 1) on `count` threads, this one among them; on fewer if the system gives no more. */
static void team_run(int count, void (*work)(void *, Team *, int), void *job) {
    Team team = {.size = 1};
    pthread_t threads[MAX_THREADS];
    Member members[MAX_THREADS];
    pthread_mutex_init(&team.lock, NULL);
    pthread_cond_init(&team.change, NULL);
    while (team.size < count && team.size < MAX_THREADS) {
        members[team.size] = (Member){&team, work, job, team.size};
        if (pthread_create(&threads[team.size], NULL, member_run, &members[team.size]))
            break;
        team.size++;
    }
    pthread_mutex_lock(&team.lock);
    team.begun = 1;
    pthread_cond_broadcast(&team.change);
    pthread_mutex_unlock(&team.lock);
    work(job, &team, 0);
    for (int i = 1; i < team.size; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&team.change);
    pthread_mutex_destroy(&team.lock);
}

#endif
