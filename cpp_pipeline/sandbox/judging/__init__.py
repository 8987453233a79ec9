"""From a job to a verdict: what is compiled, what runs, what is compared, what need not be done again."""
