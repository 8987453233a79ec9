// SPDX-License-Identifier: Apache-2.0
#include "taskpool/pool.hpp"

#include <algorithm>

namespace taskpool {

Pool::Pool(std::size_t threads) {
    if (threads == 0) {
        threads = std::max(1u, std::thread::hardware_concurrency());
    }
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { work(); });
    }
}

Pool::~Pool() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

// Put a task at the end of the queue and wake one thread.
void Pool::push(std::function<void()> task) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        tasks_.push(std::move(task));
    }
    ready_.notify_one();
}

// Take tasks from the queue until the pool stops and the queue is empty.
void Pool::work() {
    while (true) {
        std::function<void()> task;
        {
            std::unique_lock<std::mutex> lock(mutex_);
            ready_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (tasks_.empty()) {
                return;
            }
            task = std::move(tasks_.front());
            tasks_.pop();
        }
        task();
    }
}

std::vector<std::pair<std::size_t, std::size_t>> split_range(std::size_t count, std::size_t parts) {
    std::vector<std::pair<std::size_t, std::size_t>> ranges;
    parts = std::max<std::size_t>(parts, 1);
    std::size_t begin = 0;
    for (std::size_t part = 0; part < parts; ++part) {
        const std::size_t end = begin + count / parts + (part < count % parts ? 1 : 0);
        if (end > begin) {
            ranges.emplace_back(begin, end);
        }
        begin = end;
    }
    return ranges;
}

}  // namespace taskpool
