// Feeds frames to the C++ decoder. stdin: {u32 type, u32 bytes, frame}...; stdout: {u8 accepted, u32 bytes, frame of the value}...
// types.inc, written by the test, defines decoders[], one `decode<T>` for each type.
#include <cstdio>
#include <iterator>
#include <memory>

#include "judge.hpp"

using Decoder = bool (*)(judge_rpc::Reader&, judge_rpc::Writer&);

template <class T> bool decode(judge_rpc::Reader& reader, judge_rpc::Writer& writer) {
    static T value{};  // holds what the frame before left, and nothing of that may show
    judge_rpc::get(reader, value);
    if (!reader.done()) return false;
    judge_rpc::put(writer, value);
    return true;
}

#include "types.inc"

int main() {
    std::uint32_t head[2];
    while (std::fread(head, sizeof head, 1, stdin) == 1) {
        if (head[0] >= std::size(decoders)) return 2;
        // a block of its own, so that reading past its end is found
        const auto frame = std::make_unique<unsigned char[]>(head[1]);
        if (std::fread(frame.get(), 1, head[1], stdin) != head[1]) return 3;
        judge_rpc::Reader reader{frame.get(), frame.get() + head[1]};
        judge_rpc::Writer writer;
        const unsigned char accepted = decoders[head[0]](reader, writer) ? 1 : 0;
        const auto size = static_cast<std::uint32_t>(writer.out.size());
        std::fwrite(&accepted, 1, 1, stdout);
        std::fwrite(&size, sizeof size, 1, stdout);
        std::fwrite(writer.out.data(), 1, size, stdout);
    }
}
