package rules_test

import (
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// queue has a cache that drops nothing.
var queue = func() composition {
	c := watched
	c.cache.KeepsEverything = true
	return c
}()

// A cache that drops nothing never evicts: it is full before that could tell.
func TestAQueueIsAlertedOnBeforeItRefusesWrites(t *testing.T) {
	file := unitTests{RuleFiles: []string{write(t, "rules.yml", queue.render(t))}, EvaluationInterval: "1m"}
	for _, s := range []situation{
		{name: "nearly full", at: "10m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x20", `redis_memory_max_bytes{job="cache"}`: "100x20", `redis_evicted_keys_total{job="cache"}`: "0x20"},
			fires: []firing{{rule.Critical, map[string]string{"job": "cache"}, "The cache is nearly full and will refuse writes",
				"95% of the cache's memory is used, and its policy is noeviction: at 100 % every write fails."}}},
		{name: "half full", at: "10m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "50x20", `redis_memory_max_bytes{job="cache"}`: "100x20"}},
	} {
		file.Tests = append(file.Tests, s.test("CacheMemoryFull"))
	}
	content, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "test", "rules", write(t, "test.yml", string(content))); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
