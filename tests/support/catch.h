// Catch2, of its second or third generation.
#pragma once

#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

namespace Catch {
inline auto Contains(const std::string& part) { return Matchers::ContainsSubstring(part); }
}  // namespace Catch
#else
#include <catch2/catch.hpp>
#endif

namespace extscrub::test {

// `fn` gets the name of each test that there is with each of its tags, without brackets and in lower case.
template <typename Fn>
void for_each_tag(const Fn& fn) {
#if __has_include(<catch2/catch_all.hpp>)
  for (const auto* test : Catch::getRegistryHub().getTestCaseRegistry().getAllInfos())
    for (const auto& tag : test->tags) fn(test->name, static_cast<std::string>(tag.original));
#else
  for (const Catch::TestCase& test : Catch::getRegistryHub().getTestCaseRegistry().getAllTests())
    for (const std::string& tag : test.lcaseTags) fn(test.name, tag);
#endif
}

}  // namespace extscrub::test
