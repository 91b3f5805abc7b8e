/* What a convolution needs besides its arrays, for both element types. */

/* Parts of the batch, each with gradients of its own. */
static int64_t conv_parts(const fd_conv *job) {
    return parts_of(job->samples, job->oh * job->ow * job->filters);
}

/* Elements of the gradients that a part adds up. */
static int64_t conv_gradients(const fd_conv *job) {
    return (job->kh * job->kw * job->channels + 1) * job->filters;
}

/* A tile may read two vectors where only some columns are left. */
enum { SLACK = 2 * VECTOR_BYTES / 4 };

/* A thread's buffers, in elements: a padded image, the convolution's output
   or its gradient, the gradient of the pooled output, and the products that
   become the gradient of the image. */
typedef struct {
    int64_t rows, columns;      /* of the padded image */
    int64_t image, tile, small, taps;
    int64_t room;               /* of all of them */
    int64_t weights;            /* what the threads share: a copy of the weights */
} fd_plan;

static fd_plan plan_of(const fd_conv *job, int backward) {
    fd_plan plan;
    plan.rows = most(job->top + job->height, (job->oh - 1) * job->sh + job->kh);
    plan.columns = most(job->left + job->width, (job->ow - 1) * job->sw + job->kw);
    plan.image = plan.rows * plan.columns * job->channels;
    plan.tile = job->oh * job->ow * job->filters + SLACK;
    plan.small = job->ph ? (job->oh / job->ph) * (job->ow / job->pw) * job->filters : 0;
    plan.taps = backward ? job->oh * job->ow * job->kw * job->channels : 0;
    plan.room = plan.image * (1 + backward) + plan.tile + plan.small + plan.taps;
    plan.weights = job->kh * job->kw * job->channels * job->filters + SLACK;
    return plan;
}

static int64_t conv_scratch(const fd_conv *job, int backward) {
    const fd_plan plan = plan_of(job, backward);
    const int64_t sums = backward ? conv_parts(job) * conv_gradients(job) : 0;
    return plan.weights + sums + job->crew.threads * plan.room;
}

/* The rooms of threads are handed out as they come. */
typedef struct {
    const fd_conv *job;
    fd_plan plan;
    int64_t parts;
    const void *weights;
    void *rooms;
    atomic_flag *taken;
} fd_conv_call;

static int64_t take_room(const fd_conv_call *call) {
    for (int64_t room = 0;; room = (room + 1) % call->job->crew.threads)
        if (!atomic_flag_test_and_set(&call->taken[room])) return room;
}

static void leave_room(const fd_conv_call *call, int64_t room) {
    atomic_flag_clear(&call->taken[room]);
}

/* The fused pool of a convolution's output. */
static fd_pool pool_of(const fd_conv *job) {
    fd_pool pool = {.height = job->oh, .width = job->ow, .channels = job->filters,
                    .ph = job->ph, .pw = job->pw, .sh = job->ph, .sw = job->pw};
    pool.oh = job->oh / job->ph;
    pool.ow = job->ow / job->pw;
    return pool;
}
