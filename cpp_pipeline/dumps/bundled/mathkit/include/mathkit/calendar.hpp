// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mathkit {

/// Tell whether a year has 366 days in the Gregorian calendar.
bool is_leap_year(int year);

/// Number of days of a month.
/// @param year year, needed for February
/// @param month month between 1 and 12
/// @return 0 when the month does not exist
int days_in_month(int year, int month);

/// Number of a day within its year; the first of January is day 1.
int day_of_year(int year, int month, int day);

/// Weekday of a Gregorian date by Sakamoto's method.
/// @return 0 for Sunday to 6 for Saturday
int day_of_week(int year, int month, int day);

/// Write a duration as hours, minutes and seconds, for example "1:02:03".
/// @param seconds duration that is not negative
std::string format_duration(int seconds);

}  // namespace mathkit
