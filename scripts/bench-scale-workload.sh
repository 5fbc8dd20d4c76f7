# The workload of bench-scale.sh and profile.sh; source it. Mean prompt about 4,000 tokens, mean output 300;
# with 0.8 conversations a second and worker, workers are busy 80 to 90 % of the time.
workload=(multi-turn --router-mode kv
    --set 'workload.multi_turn.first={ law = "lognormal", mean = 1500, cv = 1.0, max = 14000 }'
    --set 'workload.multi_turn.follow_up={ law = "lognormal", mean = 200, cv = 1.0, max = 6000 }'
    --set 'workload.multi_turn.output={ law = "lognormal", mean = 300, cv = 0.8, max = 2000 }')
