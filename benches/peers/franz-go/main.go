// Produces to, or consumes from, a topic with franz-go, and prints what it cost as one line of JSON.
//
//	peer produce|consume BROKERS TOPIC RECORDS SIZE
//
// Producing: acks = all, idempotent, 256 KiB batches, 5 ms of linger, a promise called for each record. Consuming: manual
// assignment of all partitions, until RECORDS are read; their values' lengths are summed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batchBytes = 256 << 10
	// Records that wait to be acknowledged, at most: 64 MiB of 100 bytes, about.
	bufferedRecordsMax = 500_000
)

func main() {
	if len(os.Args) != 6 {
		fatal("usage: peer produce|consume BROKERS TOPIC RECORDS SIZE")
	}
	brokers, topic := strings.Split(os.Args[2], ","), os.Args[3]
	records, size := number(os.Args[4]), number(os.Args[5])
	start := time.Now()
	var done int64
	switch os.Args[1] {
	case "produce":
		done = produce(brokers, topic, records, size)
	case "consume":
		done = consume(brokers, topic, records)
	default:
		fatal("produce or consume, not " + os.Args[1])
	}
	report(start, done, size)
}

func produce(brokers []string, topic string, records, size int64) int64 {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchMaxBytes(batchBytes), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(bufferedRecordsMax))
	check(err)
	defer client.Close()
	value := []byte(strings.Repeat("x", int(size)))
	var acknowledged atomic.Int64
	var waiting sync.WaitGroup
	for range records {
		waiting.Add(1)
		client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			check(err)
			acknowledged.Add(1)
			waiting.Done()
		})
	}
	waiting.Wait()
	return acknowledged.Load()
}

func consume(brokers []string, topic string, records int64) int64 {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	check(err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(context.Background(), topic)
	check(err)
	check(ends.Error())
	offsets := map[int32]kgo.Offset{}
	ends.Each(func(end kadm.ListedOffset) { offsets[end.Partition] = kgo.NewOffset().AtStart() })
	reader, err := kgo.NewClient(kgo.SeedBrokers(brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond))
	check(err)
	defer reader.Close()
	var read, bytes int64
	for read < records {
		fetches := reader.PollFetches(context.Background())
		fetches.EachError(func(_ string, _ int32, err error) { check(err) })
		fetches.EachRecord(func(record *kgo.Record) {
			read++
			bytes += int64(len(record.Value))
		})
	}
	if bytes == 0 {
		fatal("records without values")
	}
	return read
}

func report(start time.Time, done, size int64) {
	wall := time.Since(start).Seconds()
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(of syscall.Timeval) float64 { return float64(of.Sec) + float64(of.Usec)/1e6 }
	user, system := seconds(usage.Utime), seconds(usage.Stime)
	line, err := json.Marshal(map[string]any{
		"client": "franz-go", "records": done, "size": size, "wall_s": wall, "user_s": user, "sys_s": system,
		"cpu_s_per_million": (user + system) * 1e6 / float64(done), "max_rss_mb": float64(usage.Maxrss) / 1024, "acked": done,
	})
	check(err)
	fmt.Println(string(line))
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fatal(err.Error())
	}
}

func fatal(text string) {
	fmt.Fprintln(os.Stderr, "franz-go: "+text)
	os.Exit(1)
}
