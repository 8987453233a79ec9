// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <iostream>

#include "counter.hpp"

// Count one stream and write its totals with a label.
static void report(std::istream& input, const std::string& label) {
    const wordcount::Totals totals = wordcount::count_stream(input);
    std::cout << totals.lines << "\t" << totals.words << "\t" << totals.characters << "\t" << label << "\n";
}

int main(int argc, char** argv) {
    if (argc < 2) {
        report(std::cin, "-");
        return 0;
    }
    int failures = 0;
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        if (!file) {
            std::cerr << "wordcount: cannot open " << argv[i] << "\n";
            ++failures;
            continue;
        }
        report(file, argv[i]);
    }
    return failures == 0 ? 0 : 1;
}
