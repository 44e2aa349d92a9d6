/* The one table of error codes: X(name, number, short text). docs/ERRORS.md explains each. */
#ifndef CAAS_BASE_ERR_TABLE_H
#define CAAS_BASE_ERR_TABLE_H

#define ERR_TABLE(X)                                                                                                   \
        X(INVALID, 1, "invalid input")                                                                                 \
        X(NOT_FOUND, 2, "not found")                                                                                   \
        X(EXISTS, 3, "already exists")                                                                                 \
        X(REFUSED, 4, "refused")                                                                                       \
        X(DENIED, 5, "permission denied")                                                                              \
        X(BUSY, 6, "busy")                                                                                             \
        X(IO, 7, "input/output failure")                                                                               \
        X(NO_SPACE, 8, "no space left")                                                                                \
        X(UNREACHABLE, 9, "unreachable")                                                                               \
        X(TIMEOUT, 10, "timed out")                                                                                    \
        X(CANCELLED, 11, "cancelled")                                                                                  \
        X(FAILED, 12, "failed")                                                                                        \
        X(VERSION, 13, "other version")                                                                                \
        X(CORRUPT, 14, "damaged")                                                                                      \
        X(USAGE, 15, "wrong usage")                                                                                    \
        X(PARTIAL, 16, "partly done")

#endif
