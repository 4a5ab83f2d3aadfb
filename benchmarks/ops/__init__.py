"""The ops on a linear head beside their rivals, on any device: one table of cases, one table of providers."""
