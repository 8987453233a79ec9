// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace taskpool {

/**
 * Fixed number of threads that work on tasks in the order of their submission.
 */
class Pool {
public:
    /**
     * Start the threads of the pool.
     *
     * @param threads number of threads; 0 takes one for each processor
     */
    explicit Pool(std::size_t threads = 0);

    /**
     * Finish all tasks that were submitted, then stop the threads.
     */
    ~Pool();

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /**
     * Hand a function to the pool.
     *
     * @param function function without parameters
     * @return future that gives the function's result, or the exception that it threw
     */
    template <typename Function>
    auto submit(Function function) -> std::future<std::invoke_result_t<Function>> {
        using Result = std::invoke_result_t<Function>;
        auto task = std::make_shared<std::packaged_task<Result()>>(std::move(function));
        std::future<Result> future = task->get_future();
        push([task] { (*task)(); });
        return future;
    }

    /**
     * Number of threads that work for the pool.
     */
    std::size_t size() const { return threads_.size(); }

private:
    void push(std::function<void()> task);
    void work();

    std::mutex mutex_;
    std::condition_variable ready_;
    std::queue<std::function<void()>> tasks_;
    std::vector<std::thread> threads_;
    bool stopping_ = false;
};

/**
 * Cut the range from 0 to a count into parts of almost equal size.
 *
 * @param count number of elements of the range
 * @param parts number of parts, at least 1
 * @return begin and end of each part; empty parts are left out
 */
std::vector<std::pair<std::size_t, std::size_t>> split_range(std::size_t count, std::size_t parts);

}  // namespace taskpool
