#define _GNU_SOURCE
#include "holdings.h"

#include <errno.h>

#include "arena.h"
#include "sweep.h"

struct holding *holdings_of_process;

void holding_list(struct holding *holding) {
    holding->next = holdings_of_process;
    if (holdings_of_process) holdings_of_process->before = holding;
    holdings_of_process = holding;
}

static void enlist(struct holding *holding, uint32_t index, uint32_t serial, uint32_t stake) {
    *holding = (struct holding){index, serial, stake, CELL_NONE, NULL, NULL};
    holding_list(holding);
}

/* (One that a fork passed over is in the list, without a stake.) */
static void delist(struct holding *holding) {
    if (holding->next) holding->next->before = holding->before;
    if (holding->before) holding->before->next = holding->next;
    else if (holdings_of_process == holding) holdings_of_process = holding->next;
    holding->next = holding->before = NULL;
    holding->stake = CELL_NONE;
}

/* --- stakes ------------------------------------------------------------------------------------------------------ */

/* One that is nobody's. It may be freed, and be used for another object, while we look. */
static uint32_t reuse(struct cell *cell, uint32_t tid) {
    uint32_t most = word_read(&commons->cells_used);
    for (uint32_t stake = word_read(&cell->link); stake && most-- > 0; stake = word_read(&cell_at(stake)->link)) {
        if (!word_swap(&cell_at(stake)->tid, 0, tid)) continue;
        if (cell_kind(cell_at(stake)) == CELL_STAKE && word_read(&cell_at(stake)->count) == cell_index(cell)) {
            word_poke(&cell_at(stake)->word, 0);
            return stake;
        }
        word_swap(&cell_at(stake)->tid, tid, 0);
    }
    return CELL_NONE;
}

static bool linked(struct cell *cell, uint32_t wanted) {
    uint32_t most = word_read(&commons->cells_used), stake = word_read(&cell->link);
    while (stake && stake != wanted && most-- > 0) stake = word_read(&cell_at(stake)->link);
    return stake == wanted;
}

static int new_stake(uint32_t object, uint32_t tid, uint32_t *out) {
    int error = cell_claim(out);
    if (error) return error;
    word_poke(&cell_at(*out)->count, object);
    word_poke(&cell_at(*out)->tid, tid);
    cell_publish(*out, CELL_STAKE, CELL_SENT);
    return 0;
}

static void link_stake(struct cell *cell, uint32_t stake) {
    uint32_t first;
    do {
        first = word_read(&cell->link);
        word_poke(&cell_at(stake)->link, first);
    } while (!word_swap(&cell->link, first, stake)); /* partner: who goes through the list */
    pn_step("stake linked");
}

/* Count it. False: the object is gone, or another is in its place. Partner: `collect`. */
static bool count_up(struct cell *cell, uint32_t serial) {
    for (;;) {
        uint32_t word = word_read(&cell->word);
        if ((word & HOLDING_GONE) || cell_serial(cell) != serial) return false;
        if (word_swap(&cell->word, word, (word + 1) & ~HOLDING_GONE)) break;
    }
    pn_step("holding counted");
    return cell_serial(cell) == serial && HAS_MEMORY(cell_kind(cell));
}

static void collect(struct cell *cell);

static void give_up(uint32_t stake, uint32_t tid, struct cell *cell) {
    if (!word_swap(&cell_at(stake)->tid, tid, 0)) return;
    pn_step("stake given up");
    collect(cell);
}

/* A stake in the name `tid` of that object. The ticket is in it before it counts. */
static int add(uint32_t index, uint32_t serial, uint32_t tid, uint64_t ticket, uint32_t *out) {
    int error = sync_enter();
    struct cell *cell = error ? NULL : cell_get(index, serial);
    if (error) return error;
    if (!cell || !HAS_MEMORY(cell_kind(cell))) return -ENOENT;
    *out = reuse(cell, tid);
    if (!*out) {
        error = new_stake(index, tid, out);
        if (error) return error;
        link_stake(cell, *out);
    }
    pn_step("stake taken");
    word_poke(&cell_at(*out)->since, ticket);
    if (count_up(cell, serial)) return 0;
    uint32_t state = word_read(&cell_at(*out)->state);
    if (word_swap(&cell_at(*out)->tid, tid, 0) && !linked(cell, *out)) word_swap(&cell_at(*out)->state, state, CELL_FREE);
    return -ENOENT;
}

/* --- the end of an object ---------------------------------------------------------------------------------------- */

/* What lies in a queue that is gone will be received by nobody. */
static void drop_posted(uint32_t queue) {
    uint32_t used = word_read(&commons->cells_used), tid = TID_QUEUE | queue;
    for (uint32_t i = 1; i < used; i++) {
        struct cell *stake = cell_at(i);
        if (word_peek(&stake->tid) == tid && cell_kind(stake) == CELL_STAKE)
            give_up(i, tid, cell_at(word_peek(&stake->count)));
    }
}

/* In our name first: whoever dies before it is free leaves it to be freed. */
static void free_stakes(struct cell *cell) {
    for (uint32_t stake; (stake = word_read(&cell->link));) {
        word_publish(&cell_at(stake)->tid, sync_me);
        if (!word_swap(&cell->link, stake, word_read(&cell_at(stake)->link))) continue; /* (somebody added one, too late) */
        pn_step("stake unlinked");
        cell_free(cell_at(stake));
    }
}

static void take_apart(struct cell *cell) {
    uint32_t state = word_read(&cell->state), index = cell_index(cell);
    if ((state & 0xff) == CELL_QUEUE) drop_posted(index);
    if ((state & 0xff) == CELL_BLOCK) arena_give_of(holding_offset(cell), OWNER_OBJECT(index)); /* (perhaps once more) */
    else arena_disown(OWNER_OBJECT(index));
    pn_step("memory given back");
    free_stakes(cell);
    cell_free(cell);
}

/* Take it apart if nobody holds it. (Each object counts from another number: who is slow here, while another has taken it apart
 * and made a new one in its place, does not take that apart.) */
static void collect(struct cell *cell) {
    if (!HAS_MEMORY(cell_kind(cell))) return;
    for (;;) {
        uint32_t word = word_read(&cell->word);
        if (word & HOLDING_GONE) return;
        for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
            if (word_read(&cell_at(stake)->tid)) return;
        if (!word_swap(&cell->word, word, HOLDING_GONE | sync_me)) continue;
        pn_step("object gone");
        take_apart(cell);
        return;
    }
}

/* --- ours -------------------------------------------------------------------------------------------------------- */

static int take_memory(uint64_t size, const void *bytes, bool clean, uint32_t index) {
    uint64_t offset;
    uint32_t owner = OWNER_OBJECT(index);
    int error = bytes ? arena_take_copy(bytes, size, owner, &offset)
                : clean ? arena_take_clean(size, owner, &offset) : arena_take(size, owner, &offset);
    if (!error) word_poke(&cell_at(index)->since, offset);
    return error == -ENOSPC ? -ENOMEM : error;
}

/* A cell with memory and one stake of ours, and then the cell's kind. Whoever dies before that leaves a claimed cell. */
static int make(enum cell_kind kind, uint64_t size, const void *bytes, bool clean, uint32_t flags, struct holding *out) {
    uint32_t index, stake = CELL_NONE;
    int error = cell_claim(&index);
    if (error) return error;
    error = take_memory(size, bytes, clean, index);
    if (error == -ENOMEM && sweep_forks() > 0) error = take_memory(size, bytes, clean, index); /* (the dead had some) */
    if (!error) error = new_stake(index, sync_me, &stake);
    if (error) {
        arena_disown(OWNER_OBJECT(index));
        cell_free(cell_at(index));
        return error;
    }
    word_poke(&cell_at(index)->word, word_peek(&commons->cell_serial) << 8 & ~HOLDING_GONE); /* partner: `collect` */
    word_publish(&cell_at(index)->link, stake);
    pn_step("first stake linked");
    if (kind == CELL_BLOCK) {
        word_poke(&cell_at(index)->count, (uint32_t)size);
        word_poke(&cell_at(index)->tid, (uint32_t)(size >> 32));
    }
    cell_publish(index, kind, flags | CELL_SENT);
    *out = (struct holding){index, cell_serial(cell_at(index)), stake, CELL_NONE, NULL, NULL};
    return 0;
}

int holding_prepare(enum cell_kind kind, uint64_t size, const void *bytes, bool clean, uint32_t flags, struct holding *out) {
    return make(kind, size, bytes, clean, flags, out);
}

int holding_make(enum cell_kind kind, uint64_t size, const void *bytes, uint32_t flags, struct holding *out) {
    int error = make(kind, size, bytes, true, flags, out);
    if (!error) holding_list(out);
    return error;
}

int holding_make_raw(enum cell_kind kind, uint64_t size, uint32_t flags, struct holding *out) {
    int error = make(kind, size, NULL, false, flags, out);
    if (!error) holding_list(out);
    return error;
}

int holding_add(uint32_t index, uint32_t serial, struct holding *out) {
    uint32_t stake;
    int error = add(index, serial, sync_enter() ? 0 : sync_me, 0, &stake);
    if (!error) enlist(out, index, serial, stake);
    return error;
}

void holding_drop(struct holding *holding) {
    uint32_t stake = holding->stake;
    delist(holding);
    if (stake && commons && sync_me) give_up(stake, sync_me, cell_at(holding->index));
}

struct cell *holding_cell(const struct holding *holding) {
    return holding->stake ? cell_get(holding->index, holding->serial) : NULL;
}

/* --- parcels ------------------------------------------------------------------------------------------------------ */

int parcel_make(uint32_t index, uint32_t serial, bool own, struct parcel *out) {
    int error = sync_enter();
    if (error) return error;
    *out = (struct parcel){index, serial, CELL_NONE, word_add(&commons->tickets, 1) + 1};
    return add(index, serial, own ? sync_me : TID_PARCEL | sync_me, out->ticket, &out->stake);
}

/* (Or it was addressed to us, and not received.) */
static bool is_under_way(uint32_t tid) {
    return (tid & TID_NAME) == TID_PARCEL || (tid & TID_NAME) == TID_QUEUE || (tid == sync_me && tid);
}

/* Its stake, when it is still the use of it that was sent, and in which name. */
static struct cell *stake_of_parcel(const struct parcel *parcel, uint32_t *tid) {
    if (!commons || parcel->stake == CELL_NONE || parcel->stake >= COMMONS_CELL_COUNT) return NULL;
    struct cell *stake = cell_at(parcel->stake);
    *tid = word_read(&stake->tid);
    bool same = cell_kind(stake) == CELL_STAKE && word_read(&stake->count) == parcel->index &&
                word_read(&stake->since) == parcel->ticket && is_under_way(*tid);
    return same ? stake : NULL;
}

bool parcel_post(const struct parcel *parcel, uint32_t queue) {
    uint32_t tid;
    struct cell *stake = stake_of_parcel(parcel, &tid);
    bool done = stake && word_swap(&stake->tid, tid, TID_QUEUE | queue);
    pn_step("parcel posted");
    return done;
}

bool parcel_address(const struct parcel *parcel, uint32_t slot) {
    uint32_t tid;
    struct cell *stake = stake_of_parcel(parcel, &tid);
    word_or(&commons_records()[slot].flags, RECORD_SYNC); /* it has something, even if it never comes to know */
    bool done = stake && word_swap(&stake->tid, tid, slot + 1);
    pn_step("parcel addressed");
    return done;
}

/* It is ours: nobody receives it once more. */
static bool claim(struct cell *stake, uint32_t tid, uint64_t ticket) {
    return word_swap(&stake->tid, tid, sync_me) && word_swap64(&stake->since, ticket, 0);
}

int parcel_receive(const struct parcel *parcel, struct holding *out) {
    int error = sync_enter();
    if (error) return error;
    uint32_t tid;
    struct cell *stake = stake_of_parcel(parcel, &tid), *cell = cell_get(parcel->index, parcel->serial);
    if (!stake || !cell || !claim(stake, tid, parcel->ticket)) return holding_add(parcel->index, parcel->serial, out);
    pn_step("parcel received");
    enlist(out, parcel->index, parcel->serial, parcel->stake);
    return 0;
}

bool parcel_claim(const struct parcel *parcel) {
    uint32_t tid;
    struct cell *stake = stake_of_parcel(parcel, &tid);
    bool done = stake && sync_enter() == 0 && claim(stake, tid, parcel->ticket);
    pn_step("parcel claimed");
    return done;
}

void parcel_claimed(const struct parcel *parcel, struct holding *out) {
    enlist(out, parcel->index, parcel->serial, parcel->stake);
}

void parcel_refuse(const struct parcel *parcel) { give_up(parcel->stake, sync_me, cell_at(parcel->index)); }

void parcel_let_go(const struct parcel *parcel) {
    uint32_t tid;
    struct cell *stake = stake_of_parcel(parcel, &tid);
    if (stake && tid == sync_me) word_swap(&stake->tid, tid, TID_PARCEL | sync_me);
    pn_step("parcel let go");
}

void parcel_drop(const struct parcel *parcel) {
    uint32_t tid;
    struct cell *stake = stake_of_parcel(parcel, &tid);
    if (stake && sync_enter() == 0) give_up(parcel->stake, tid, cell_at(parcel->index));
}

void parcel_drop_posted(const struct parcel *parcel, uint32_t queue) {
    uint32_t tid;
    if (stake_of_parcel(parcel, &tid) && tid == (TID_QUEUE | queue)) parcel_drop(parcel);
}

int holding_name(uint32_t index, uint32_t serial) {
    uint32_t stake;
    int error = add(index, serial, sync_enter() ? 0 : sync_me, 0, &stake); /* (ours first: if we die in there) */
    if (!error) word_publish(&cell_at(stake)->tid, TID_NAME);
    pn_step("named");
    return error;
}

void holding_unname(uint32_t index, uint32_t serial) {
    struct cell *cell = cell_get(index, serial);
    if (!cell || sync_enter() < 0) return;
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
        if (word_read(&cell_at(stake)->tid) == TID_NAME) {
            give_up(stake, TID_NAME, cell);
            return;
        }
}

/* --- forks --------------------------------------------------------------------------------------------------------- */

static int add_for_fork(uint32_t slot) {
    int error = 0;
    word_or(&commons_records()[slot].flags, RECORD_SYNC); /* it may leave something even if it is never born */
    for (struct holding *h = holdings_of_process; h; h = h->next) h->for_fork = CELL_NONE; /* (of the last fork) */
    for (struct holding *h = holdings_of_process; h && !error; h = h->next)
        if (h->stake && !(error = add(h->index, h->serial, slot + 1, 0, &h->for_fork)))
            word_poke(&cell_at(h->for_fork)->word, word_peek(&cell_at(h->stake)->word)); /* (closed is closed) */
    if (error) holdings_not_forked();
    return error;
}

int holdings_fork(uint32_t slot) {
    int error = add_for_fork(slot);
    return error == -ENOSPC && sweep_forks() > 0 ? add_for_fork(slot) : error; /* (of forks that are gone) */
}

void holdings_forked(void) {
    for (struct holding *h = holdings_of_process; h; h = h->next) {
        h->stake = h->for_fork;
        h->for_fork = CELL_NONE;
    }
}

void holdings_not_forked(void) {
    for (struct holding *h = holdings_of_process; h; h = h->next) {
        if (h->for_fork) give_up(h->for_fork, word_read(&cell_at(h->for_fork)->tid), cell_at(h->index));
        h->for_fork = CELL_NONE;
    }
}

/* --- recovery ------------------------------------------------------------------------------------------------------ */

void holdings_recover_stake(struct cell *stake, uint32_t owner, uint32_t parent) {
    uint32_t tid = word_read(&stake->tid), state = word_read(&stake->state);
    struct cell *cell = cell_at(word_peek(&stake->count));
    if ((tid != owner && tid != (TID_PARCEL | owner)) || sync_enter() < 0) return;
    if (!linked(cell, cell_index(stake))) word_swap(&stake->state, state, CELL_FREE); /* it died before that */
    else if (tid == owner || !parent) give_up(cell_index(stake), tid, cell);
    else word_swap(&stake->tid, tid, TID_PARCEL | parent);
    pn_step("stake recovered");
}

void holdings_recover_object(struct cell *cell, uint32_t owner) {
    uint32_t word = word_read(&cell->word);
    if (sync_enter() < 0) return;
    if (!(word & HOLDING_GONE)) {
        collect(cell); /* (the dead one may have given up the last, and died before it looked) */
    } else if (word == (HOLDING_GONE | owner) && word_swap(&cell->word, word, HOLDING_GONE | sync_me)) {
        pn_step("taken over");
        take_apart(cell);
    }
}

void holdings_recover_claimed(struct cell *cell, uint32_t owner) {
    uint32_t index = cell_index(cell), stake = word_read(&cell->link);
    arena_disown(OWNER_OBJECT(index));
    if (!stake || stake >= COMMONS_CELL_COUNT) return;
    uint32_t state = word_read(&cell_at(stake)->state); /* (`link` may be what was there before that was cleared) */
    uint32_t tid = word_read(&cell_at(stake)->tid);
    if ((state & 0xff) == CELL_STAKE && word_read(&cell_at(stake)->count) == index && (tid == owner || tid == 0))
        word_swap(&cell_at(stake)->state, state, CELL_FREE);
    pn_step("half made");
}
