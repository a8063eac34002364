package rules_test

import (
	"fmt"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var cacheSituations = map[string][]situation{
	"CacheDown": {
		{name: "the exporter cannot log in", at: "8m", quietUntil: "6m", series: map[string]string{`redis_up{job="cache",instance="x:1"}`: "1x4 0x10"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache", "instance": "x:1"}, cacheIsDown, cacheText}}},
		{name: "the pod is gone", at: "8m", fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, cacheIsDown, cacheText}}},
		{name: "a restart", at: "8m", series: map[string]string{`redis_up{job="cache",instance="x:1"}`: "1x4 0 1x10"}},
	},
	"CachePersistenceFailing": {
		{name: "the append-only file", at: "20m", quietUntil: "9m", series: map[string]string{
			`redis_aof_last_write_status{job="cache"}`: "0x30", `redis_rdb_last_bgsave_status{job="cache"}`: "1x30", `redis_aof_last_bgrewrite_status{job="cache"}`: "1x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, cacheWrites, cacheWriteText}}},
		{name: "its rewrite", at: "20m", series: map[string]string{
			`redis_aof_last_write_status{job="cache"}`: "1x30", `redis_rdb_last_bgsave_status{job="cache"}`: "1x30", `redis_aof_last_bgrewrite_status{job="cache"}`: "0x30"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, cacheWrites, cacheWriteText}}},
		{name: "all well", at: "20m", series: map[string]string{
			`redis_aof_last_write_status{job="cache"}`: "1x30", `redis_rdb_last_bgsave_status{job="cache"}`: "1x30", `redis_aof_last_bgrewrite_status{job="cache"}`: "1x30"}},
	},
	"CacheMemoryFull": {
		{name: "full and dropping", at: "30m", quietUntil: "15m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "0+5x40"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache is full and drops entries",
				"95% of the cache's memory is used, and entries are dropped before they expire. More reads go to the database than have to."}}},
		{name: "90 %, and dropping", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "90x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "0+5x40"}},
		{name: "full, nothing dropped", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "7x40"}},
		{name: "90 %, and dropping", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "90x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "0+5x40"}},
		{name: "a minute before its time", at: "29m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "90x14 95x40", `redis_memory_max_bytes{job="cache"}`: "100x60", `redis_evicted_keys_total{job="cache"}`: "0+5x60"}},
		{name: "no limit set", at: "30m", series: map[string]string{
			`redis_memory_used_bytes{job="cache"}`: "95x40", `redis_memory_max_bytes{job="cache"}`: "0x40", `redis_evicted_keys_total{job="cache"}`: "0+5x40"}},
	},
	"CacheWritesRefused": {
		{name: "its memory is full", at: "10m", quietUntil: "1m", series: map[string]string{`redis_errors_total{job="cache",err="OOM"}`: "0+60x20"},
			fires: []firing{{rule.Critical, map[string]string{"job": "cache"}, "The cache refuses writes",
				"The cache refuses 1 writes per second, as its memory is full or it cannot write to its volume."}}},
		{name: "errors of clients", at: "10m", series: map[string]string{`redis_errors_total{job="cache",err="WRONGTYPE"}`: "0+60x20", `redis_errors_total{job="cache",err="OOM"}`: "7x20"}},
	},
	"CacheConnectionsRejected": {
		{name: "five", at: "8m", series: map[string]string{`redis_rejected_connections_total{job="cache"}`: "0x4 5x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache rejects connections",
				"5 connections were rejected within five minutes: the cache has as many clients as it may have."}}},
		{name: "long ago", at: "20m", series: map[string]string{`redis_rejected_connections_total{job="cache"}`: "0x4 5x20"}},
	},
	"CacheClientsHigh": {
		{name: "85 of 100", at: "10m", quietUntil: "4m", series: map[string]string{`redis_connected_clients{job="cache"}`: "85x20", `redis_max_clients{job="cache"}`: "100x20"},
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache is running out of connections",
				"85% of the connections that the cache may have are open. At 100 % new ones are rejected."}}},
		{name: "80 of 100", at: "10m", series: map[string]string{`redis_connected_clients{job="cache"}`: "80x20", `redis_max_clients{job="cache"}`: "100x20"}},
		{name: "no limit known", at: "10m", series: map[string]string{`redis_connected_clients{job="cache"}`: "80x20", `redis_max_clients{job="cache"}`: "0x20"}},
	},
	"CacheRewriteOverdue": {
		{name: "four times as large", at: "40m", quietUntil: "29m", series: file(4<<28, 1<<28),
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache does not rewrite its append-only file",
				"The append-only file has 1GiB, more than three times its size after the last rewrite. A restart takes longer, and the volume fills up."}}},
		{name: "three times", at: "40m", series: file(3<<28, 1<<28)},
		{name: "small", at: "40m", series: file(1<<28, 1)},
		{name: "never rewritten", at: "40m", series: file(1<<30, 0)},
	},
	"CacheHitRatioLow": {
		{name: "a third", at: "50m", quietUntil: "37m", series: lookups(400, 800),
			fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache answers few lookups",
				"33.33% of the lookups find something in the cache. The others go to the database."}}},
		{name: "half", at: "50m", series: lookups(600, 600)},
		{name: "hardly anybody asks", at: "50m", series: lookups(100, 480)},
	},
}

func file(bytes, base int) map[string]string {
	return map[string]string{
		`redis_aof_current_size_bytes{job="cache"}`: fmt.Sprintf("%dx50", bytes), `redis_aof_base_size_bytes{job="cache"}`: fmt.Sprintf("%dx50", base),
	}
}

// lookups a minute.
func lookups(hits, misses int) map[string]string {
	return map[string]string{
		`redis_keyspace_hits_total{job="cache"}`: fmt.Sprintf("0+%dx60", hits), `redis_keyspace_misses_total{job="cache"}`: fmt.Sprintf("0+%dx60", misses),
	}
}

// A cache that drops nothing refuses writes once it is full: that it is nearly so is
// worth a look, whatever else happens.
func TestCacheThatKeepsEverything(t *testing.T) {
	c := watched
	c.cache.KeepsEverything = true
	memory := func(used string) map[string]string {
		return map[string]string{`redis_memory_used_bytes{job="cache"}`: used + "x40", `redis_memory_max_bytes{job="cache"}`: "100x40", `redis_evicted_keys_total{job="cache"}`: "0x40"}
	}
	check(t, c, "CacheMemoryFull", []situation{
		{name: "95 %", at: "30m", series: memory("95"), fires: []firing{{rule.Warning, map[string]string{"job": "cache"}, "The cache is nearly full",
			"95% of the cache's memory is used. Once it is full, writes are refused."}}},
		{name: "90 %", at: "30m", series: memory("90")},
	})
}
