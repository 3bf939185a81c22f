import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.GroupSubscription;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * Runs Java's assignors on random groups and prints what they assign. The groups follow from their numbers; the Rust test builds
 * the same ones (protocol-tests/tests/it/assignors/shape.rs, keep the two alike), so only a hash of the results is printed.
 *
 *   Assignors hashes COUNT   a line for each group: the hash of each assignor's results, and "!STEP" where Java's are invalid
 *   Assignors whole COUNT    a line for each of COUNT small groups, with all that goes into one assignor and comes out
 *   Assignors show NUMBER    all that one group goes through
 */
public class Assignors {
    static final int SECONDS_MAX = 10;
    static final String[] NAMES = {"range", "roundrobin", "sticky", "cooperative-sticky"};

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        int number = Integer.parseInt(args[1]);
        switch (args[0]) {
            case "hashes": hashes(number, out); break;
            case "whole": whole(number, out); break;
            case "show": show(number, out); break;
            default: throw new IllegalArgumentException(args[0]);
        }
        out.flush();
        System.exit(0);
    }

    static void hashes(int count, PrintStream out) throws Exception {
        out.println("#range\troundrobin\tsticky\tcooperative-sticky");
        for (int number = 0; number < count; number++) {
            Shape shape = new Shape(number);
            Runs runs = new Runs();
            for (boolean more = true; more; more = shape.next())
                runs.step(shape, null);
            out.println(Arrays.stream(runs.runs).map(Run::line).collect(Collectors.joining("\t")));
        }
    }

    static void whole(int count, PrintStream out) throws Exception {
        out.println("#assignor\ttopics\tmembers\tassignments");
        int assignor = 0;
        for (int number = 0, printed = 0; printed < count; number++) {
            Shape shape = new Shape(number);
            Runs runs = new Runs();
            int partitions = 0;
            List<String> rows = new ArrayList<>();
            for (boolean more = true; more; more = shape.next()) {
                runs.step(shape, null);
                partitions = shape.topics.stream().mapToInt(topic -> topic.partitions.size()).sum();
                rows.add(runs.runs[assignor].row);
            }
            String row = rows.get(rows.size() - 1);
            if (row != null && shape.members.size() <= 5 && partitions >= 5 && partitions <= 30) {
                out.println(row);
                printed++;
                assignor = (assignor + 1) % 4;
            }
        }
    }

    static void show(int number, PrintStream out) throws Exception {
        Shape shape = new Shape(number);
        Runs runs = new Runs();
        for (boolean more = true; more; more = shape.next())
            runs.step(shape, out);
        out.println(Arrays.stream(runs.runs).map(Run::line).collect(Collectors.joining("\t")));
    }

    /** SplitMix64. */
    static class Random {
        long state;

        Random(long seed) {
            state = seed;
        }

        long next() {
            state += 0x9E3779B97F4A7C15L;
            long z = state;
            z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
            z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
            return z ^ (z >>> 31);
        }

        int below(int limit) {
            return (int) ((next() >>> 33) % limit);
        }

        boolean oneIn(int chances) {
            return below(chances) == 0;
        }
    }

    static class Topic {
        String name;
        /** The brokers of each partition's replicas. */
        List<int[]> partitions = new ArrayList<>();
    }

    /** What a member says that is not so. */
    enum Lie { NONE, OLDER, MORE, NOTHING, GARBAGE }

    static class Member {
        String id;
        String instance;
        String rack;
        int version;
        Set<String> topics = new HashSet<>();
        Lie lie;
        int lieBy;
        TopicPartition lieAbout;
        boolean misses;
    }

    /** A group that goes through several rebalances. */
    static class Shape {
        static final String[] LETTERS = {"\u00e9", "\ud83d\ude00", "\ufffd", "\ue000", "z", "\udbff\udfff", "ab"};
        final int number;
        final Random random;
        final int style;
        final boolean isStatic;
        final boolean isEqual;
        final boolean isOld;
        final boolean lies;
        final int racks;
        final List<String> brokers = new ArrayList<>();
        final List<Topic> topics = new ArrayList<>();
        final List<Member> members = new ArrayList<>();
        final boolean hasMissing;
        int named = 0;
        int step = 0;
        final int steps;

        Shape(int number) {
            this.number = number;
            random = new Random(number);
            style = random.below(5);
            isStatic = random.oneIn(3);
            isEqual = random.oneIn(2);
            isOld = random.oneIn(4);
            lies = random.oneIn(3);
            racks = random.oneIn(3) ? 1 + random.below(4) : 0;
            int brokerCount = 1 + random.below(5);
            for (int broker = 0; broker < brokerCount; broker++)
                brokers.add(racks == 0 || random.oneIn(8) ? null : "r" + random.below(racks));
            int topicCount = 1 + random.below(8);
            int topicStyle = random.below(3);
            for (int index = 0; index < topicCount; index++) {
                Topic topic = new Topic();
                topic.name = topicStyle == 0 ? "t" + index : topicStyle == 1 ? hex(8) : "topic-" + index * 7;
                grow(topic, random.below(21));
                topics.add(topic);
            }
            hasMissing = random.oneIn(8);
            int memberCount = random.oneIn(10) ? 13 + random.below(28) : 1 + random.below(12);
            if (style == 3)
                memberCount = Math.min(memberCount, 6);
            for (int index = 0; index < memberCount; index++)
                join();
            steps = 1 + random.below(5);
            decide();
        }

        String hex(int digits) {
            return String.format("%016x", random.next()).substring(0, digits);
        }

        void grow(Topic topic, int by) {
            for (int added = 0; added < by; added++) {
                int[] replicas = new int[1 + random.below(Math.min(3, brokers.size()))];
                int first = random.below(brokers.size());
                for (int index = 0; index < replicas.length; index++)
                    replicas[index] = (first + index) % brokers.size();
                topic.partitions.add(replicas);
            }
        }

        String name() {
            int index = named++;
            switch (style) {
                case 0: return "c" + index;
                case 1: return "consumer-" + hex(16);
                case 2: return String.format("m%03d-", index) + hex(8);
                case 3: {
                    StringBuilder name = new StringBuilder();
                    for (int bit = 0; bit < 4; bit++)
                        name.append((index >> bit & 1) == 0 ? "Aa" : "BB");
                    return name.append(index / 16).toString();
                }
                default: return LETTERS[random.below(LETTERS.length)] + index;
            }
        }

        void join() {
            Member member = new Member();
            member.id = name();
            if (isStatic && random.oneIn(2))
                member.instance = "i" + random.below(1000) + "-" + named;
            if (racks > 0 && !random.oneIn(4))
                member.rack = random.oneIn(16) ? "" : "r" + random.below(racks + 1);
            member.version = isOld ? random.below(4) : 3;
            subscribe(member);
            members.add(random.below(members.size() + 1), member);
        }

        void subscribe(Member member) {
            member.topics.clear();
            if (isEqual) {
                topics.forEach(topic -> member.topics.add(topic.name));
                if (hasMissing)
                    member.topics.add("missing");
                return;
            }
            int chances = 2 + random.below(3);
            for (Topic topic : topics)
                if (!random.oneIn(chances))
                    member.topics.add(topic.name);
            if (member.topics.isEmpty() && !random.oneIn(4))
                member.topics.add(topics.get(random.below(topics.size())).name);
        }

        /** Decides who lies in this step, and who will not hear of the assignment. */
        void decide() {
            for (Member member : members) {
                member.lie = Lie.NONE;
                member.misses = lies && random.oneIn(16);
                if (lies && random.oneIn(6)) {
                    member.lie = Lie.values()[1 + random.below(4)];
                    member.lieBy = 1 + random.below(2);
                    Topic topic = topics.get(random.below(topics.size()));
                    int partition = random.below(Math.max(1, topic.partitions.size()));
                    member.lieAbout = new TopicPartition(topic.name, partition);
                }
            }
        }

        /** Changes the group; false if this was its last rebalance. */
        boolean next() {
            if (++step == steps)
                return false;
            switch (random.below(8)) {
                case 0:
                case 1:
                    if (style != 3 || members.size() < 8)
                        join();
                    break;
                case 2:
                    leave();
                    break;
                case 3:
                    subscribe(members.get(random.below(members.size())));
                    break;
                case 4:
                    grow(topics.get(random.below(topics.size())), 1 + random.below(4));
                    break;
                case 5: {
                    Topic topic = topics.get(random.below(topics.size()));
                    if (topic.partitions.isEmpty())
                        grow(topic, 1 + random.below(20));
                    else
                        topic.partitions.clear();
                    break;
                }
                case 6:
                    break;
                default:
                    leave();
                    join();
            }
            if (random.oneIn(4))
                Collections.rotate(members, random.below(members.size()));
            decide();
            return true;
        }

        void leave() {
            if (members.size() > 1)
                members.remove(random.below(members.size()));
        }

        Cluster cluster() {
            List<Node> nodes = new ArrayList<>();
            for (int id = 0; id < brokers.size(); id++)
                nodes.add(new Node(id, "host", 9092, brokers.get(id)));
            List<PartitionInfo> infos = new ArrayList<>();
            for (Topic topic : topics) {
                for (int partition = 0; partition < topic.partitions.size(); partition++) {
                    Node[] replicas = Arrays.stream(topic.partitions.get(partition)).mapToObj(nodes::get).toArray(Node[]::new);
                    infos.add(new PartitionInfo(topic.name, partition, replicas[0], replicas, replicas));
                }
            }
            return new Cluster("cluster", nodes, infos, Collections.emptySet(), Collections.emptySet());
        }
    }

    static class Runs {
        final Run[] runs = new Run[NAMES.length];

        Runs() {
            for (int index = 0; index < runs.length; index++)
                runs[index] = new Run(index);
        }

        void step(Shape shape, PrintStream show) throws Exception {
            for (Run run : runs)
                run.step(shape, show);
        }
    }

    /** A group under one assignor. */
    static class Run {
        final int assignor;
        final Map<String, List<TopicPartition>> assigned = new HashMap<>();
        final Map<String, Integer> generations = new HashMap<>();
        long hash = 0xcbf29ce484222325L;
        Integer invalidAt;
        /** The last step, in full; null if it was not valid. */
        String row;

        Run(int assignor) {
            this.assignor = assignor;
        }

        String line() {
            String folded = String.format("%08x", (int) (hash ^ hash >>> 32));
            return invalidAt == null ? folded : folded + "!" + invalidAt;
        }

        void add(byte[] bytes) {
            for (byte value : bytes) {
                hash ^= value & 0xff;
                hash *= 0x100000001b3L;
            }
        }

        static ConsumerPartitionAssignor make(int assignor) {
            switch (assignor) {
                case 0: return new RangeAssignor();
                case 1: return new RoundRobinAssignor();
                case 2: return new StickyAssignor();
                default: return new CooperativeStickyAssignor();
            }
        }

        /** The bytes with which a member joins. */
        byte[] subscription(Member member) {
            List<TopicPartition> last = assigned.get(member.id);
            int generation = generations.getOrDefault(member.id, -1);
            if (member.lie == Lie.OLDER)
                generation = Math.max(-1, generation - member.lieBy);
            if (member.lie == Lie.MORE && last != null && !last.contains(member.lieAbout)) {
                last = new ArrayList<>(last);
                last.add(member.lieAbout);
            }
            if (member.lie == Lie.NOTHING) {
                last = null;
                generation = -1;
            }
            ConsumerPartitionAssignor own = make(assignor);
            if (last != null)
                own.onAssignment(new Assignment(last), new ConsumerGroupMetadata("group", generation, member.id, Optional.empty()));
            ByteBuffer data = own.subscriptionUserData(member.topics);
            if (member.lie == Lie.GARBAGE)
                data = ByteBuffer.wrap(new byte[] {0, 0, (byte) member.lieBy});
            List<TopicPartition> owned = assignor == 3 && last != null ? last : Collections.emptyList();
            Subscription subscription = new Subscription(new ArrayList<>(member.topics), data, owned, generation, Optional.ofNullable(member.rack));
            return bytes(ConsumerProtocol.serializeSubscription(subscription, (short) member.version));
        }

        void step(Shape shape, PrintStream show) throws Exception {
            row = null;
            if (invalidAt != null)
                return;
            Map<String, Subscription> subscriptions = new HashMap<>();
            Map<String, byte[]> sent = new LinkedHashMap<>();
            for (Member member : shape.members) {
                byte[] bytes = subscription(member);
                sent.put(member.id, bytes);
                Subscription subscription = ConsumerProtocol.deserializeSubscription(ByteBuffer.wrap(bytes));
                subscription.setGroupInstanceId(Optional.ofNullable(member.instance));
                subscriptions.put(member.id, subscription);
            }
            if (show != null) {
                show.println(NAMES[assignor] + " step " + shape.step);
                for (Topic topic : shape.topics)
                    show.println("  topic " + topic.name + " " + topic.partitions.size() + (shape.racks > 0 ? " " + racks(shape, topic) : ""));
            }
            // Some groups make Java's assignors fail, and some let them run forever.
            CompletableFuture<Map<String, Assignment>> running = new CompletableFuture<>();
            Thread thread = new Thread(() -> {
                try {
                    running.complete(make(assignor).assign(shape.cluster(), new GroupSubscription(subscriptions)).groupAssignment());
                } catch (Exception failed) {
                    running.completeExceptionally(failed);
                }
            });
            thread.start();
            Map<String, Assignment> result = null;
            String problem;
            try {
                result = running.get(SECONDS_MAX, TimeUnit.SECONDS);
                problem = assignor >= 2 && takesNothingForAll(subscriptions) ? "members without topics count as subscribers" : problem(shape, result);
            } catch (ExecutionException failed) {
                problem = failed.getCause().toString();
            } catch (TimeoutException endless) {
                problem = "runs for more than " + SECONDS_MAX + " s, at " + Arrays.asList(thread.getStackTrace()).subList(0, 3);
                thread.stop();
            }
            StringBuilder members = new StringBuilder();
            StringBuilder assignments = new StringBuilder();
            for (Member member : shape.members) {
                if (show != null)
                    show.println("  " + member.id + " " + member.instance + " " + member.lie + " " + subscriptions.get(member.id) + " gets " + (result == null ? null : result.get(member.id).partitions()));
                if (problem != null)
                    continue;
                Assignment assignment = result.get(member.id);
                byte[] bytes = bytes(ConsumerProtocol.serializeAssignment(assignment));
                add(member.id.getBytes(StandardCharsets.UTF_8));
                add(sent.get(member.id));
                for (TopicPartition partition : assignment.partitions()) {
                    add(partition.topic().getBytes(StandardCharsets.UTF_8));
                    add(new byte[] {0, (byte) partition.partition()});
                }
                add(bytes);
                members.append(members.length() > 0 ? " " : "").append(member.id).append('/').append(member.instance == null ? "" : member.instance).append('/').append(hex(sent.get(member.id)));
                assignments.append(assignments.length() > 0 ? " " : "").append(hex(bytes));
            }
            if (problem != null) {
                invalidAt = shape.step;
                System.err.println("group " + shape.number + " step " + shape.step + ": " + NAMES[assignor] + ": " + problem);
                return;
            }
            row = NAMES[assignor] + "\t" + shape.topics.stream().map(topic -> topic.name + "/" + topic.partitions.size() + "/" + racks(shape, topic)).collect(Collectors.joining(" ")) + "\t" + members + "\t" + assignments;
            for (Member member : shape.members) {
                if (!member.misses) {
                    assigned.put(member.id, result.get(member.id).partitions());
                    generations.put(member.id, shape.step + 1);
                }
            }
        }

        /** The racks of each partition's replicas: a+b,a,b+c */
        static String racks(Shape shape, Topic topic) {
            return topic.partitions.stream().map(replicas -> Arrays.stream(replicas).mapToObj(shape.brokers::get)
                .filter(rack -> rack != null).collect(Collectors.joining("+"))).collect(Collectors.joining(","));
        }

        /** Whether the sticky assignors take subscriptions for equal although the first ones in their order are empty. */
        static boolean takesNothingForAll(Map<String, Subscription> subscriptions) {
            Set<String> all = new HashSet<>();
            boolean nothing = false;
            for (Subscription subscription : subscriptions.values()) {
                if (all.isEmpty()) {
                    nothing |= subscription.topics().isEmpty();
                    all.addAll(subscription.topics());
                } else if (!all.equals(new HashSet<>(subscription.topics()))) {
                    return false;
                }
            }
            return nothing && !all.isEmpty();
        }

        /** Why a result is not valid; null if it is. */
        static String problem(Shape shape, Map<String, Assignment> result) {
            Map<String, Integer> counts = new HashMap<>();
            shape.topics.forEach(topic -> counts.put(topic.name, topic.partitions.size()));
            Set<TopicPartition> seen = new HashSet<>();
            for (Member member : shape.members) {
                for (TopicPartition partition : result.get(member.id).partitions()) {
                    if (partition.partition() >= counts.getOrDefault(partition.topic(), 0))
                        return "absent partition";
                    if (!member.topics.contains(partition.topic()))
                        return "not subscribed";
                    if (!seen.add(partition))
                        return "assigned twice";
                }
            }
            return null;
        }
    }

    static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte value : bytes)
            text.append(String.format("%02x", value));
        return text.toString();
    }
}
